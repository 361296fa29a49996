/** What an HTTP rule answers instead of the server. */
export interface HttpAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

/** The error that a MongoDB rule answers instead of the server: https://www.mongodb.com/docs/manual/reference/error-codes/ */
export interface MongoAnswer {
  readonly code: number
  readonly codeName?: string
  readonly errmsg?: string
  readonly errorLabels?: readonly string[]
}

/** What befalls a request. */
export type Action =
  /** The server gets the whole request and applies it; its reply is waited for, and thrown away. */
  | { readonly fault: 'lose reply'; readonly then: 'reset' | 'close' | 'silence' }
  /** The server never sees the request. */
  | { readonly fault: 'answer'; readonly with: HttpAnswer | MongoAnswer }
  /** The connection is reset when the server has got so many bytes of the request's body: 0 is its head alone. */
  | { readonly fault: 'reset request'; readonly after: number }
  /** The connection is reset when the client has got so many bytes of the reply's body. */
  | { readonly fault: 'reset reply'; readonly after: number }
  /** The reply comes so many ms later. */
  | { readonly fault: 'delay'; readonly ms: number }
  /** The connection falls silent when the client has got so many bytes of the reply's body (without a number: not even its head). */
  | { readonly fault: 'half-open'; readonly after?: number }
  /** The rest of the connection is this slow, in bytes a second. */
  | { readonly fault: 'slow'; readonly bandwidth: number }

/** Reply lost: the write is applied, and nobody says so. `reset` (RST), `close` (FIN) or `silence` (the client has to give up by itself). */
export const loseReply = (then: 'reset' | 'close' | 'silence' = 'reset'): Action => ({ fault: 'lose reply', then })
export const answer = (reply: HttpAnswer | MongoAnswer): Action => ({ fault: 'answer', with: reply })
export const resetRequest = (after = 0): Action => ({ fault: 'reset request', after })
export const resetReply = (after = 0): Action => ({ fault: 'reset reply', after })
export const delayReply = (ms: number): Action => ({ fault: 'delay', ms })
export const halfOpen = (after?: number): Action =>
  after === undefined ? { fault: 'half-open' } : { fault: 'half-open', after }
export const slow = (bandwidth: number): Action => ({ fault: 'slow', bandwidth })
