/** What the proxy saw of one request and its reply. */
export interface ProxiedRequest {
  /** Counts from 1 over all connections. */
  readonly id: number
  /** Counts from 1. */
  readonly connection: number
  /** When its head had arrived (performance.now). */
  readonly at: number
  /** MongoDB's command (`insert`), or the store's name of the operation (`PutObject`, `objects.insert`, `Put Block`). */
  readonly operation: string
  /** Empty for MongoDB. */
  readonly method: string
  /** The path as sent, without its query; empty for MongoDB. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: ReadonlyMap<string, string>
  /** Bytes on the wire, heads included, as far as they have passed. */
  bytes: number
  replyBytes: number
  /** The reply's status; 0 for MongoDB and as long as there is none. */
  status: number
  /** What was done to it, as the action names it; empty for nothing. */
  fault: string
}
