import type { Action } from './actions.ts'
import type { Frame } from './frame.ts'
import type { Described, Protocol } from './protocol.ts'
import type { ProxiedRequest } from './request.ts'

/** What an inspector may do with the connection it looks into. */
export interface Wire {
  toServer(bytes: Buffer): void
  toClient(bytes: Buffer): void
  /** When all that was given to the client so far has arrived. */
  cut(how: 'reset' | 'close'): void
  /** Delivers what was sent so far, then resets both sides. */
  resetAfter(side: 'server' | 'client'): void
  /** Falls silent: nothing goes either way any more, and nothing is closed. */
  silence(): void
  /** As `silence`, when what was given to the client so far has arrived. */
  silenceAfter(): void
  holdReply(ms: number): void
  bandwidth(bytesPerSecond: number): void
}

interface Exchange {
  readonly request: ProxiedRequest
  readonly action: Action | undefined
  /** Bytes of body that have passed. */
  body: number
  replyBody: number
}

/** Looks into one connection: counts its requests and does to them what the rules say. */
export function inspector<Message extends object>(
  protocol: Protocol<Message>,
  wire: Wire,
  begin: (described: Described) => { readonly request: ProxiedRequest; readonly action: Action | undefined },
) {
  const exchanges = new Map<Message, Exchange>()
  let replying: { readonly reply: Message; readonly exchange: Exchange | undefined } | undefined
  let cut = false

  const onRequest = (frame: Frame<Message>) => {
    let exchange = exchanges.get(frame.message)
    if (exchange === undefined) {
      exchange = { ...begin(protocol.describe(frame.message)), body: 0, replyBody: 0 }
      exchanges.set(frame.message, exchange)
      const { action } = exchange
      if (action?.fault === 'answer') {
        const goOn = protocol.goOn(frame.message)
        if (goOn !== undefined) wire.toClient(goOn)
      } else protocol.sent(frame.message)
      if (action?.fault === 'slow') wire.bandwidth(action.bandwidth)
    }
    const { action, request } = exchange
    request.bytes += frame.bytes.length
    if (action?.fault === 'answer') {
      if (!frame.ends) return
      exchanges.delete(frame.message)
      const bytes = protocol.answer(action.with, frame.message)
      request.replyBytes = bytes.length
      request.status = 'status' in action.with ? action.with.status : 0
      wire.toClient(bytes)
    } else if (action?.fault === 'reset request') {
      const head = frame.begins ? protocol.headOf(frame.bytes) : 0
      const left = action.after - exchange.body
      exchange.body += frame.bytes.length - head
      wire.toServer(frame.bytes.subarray(0, head + left))
      if (exchange.body < action.after && !frame.ends) return
      cut = true
      wire.resetAfter('server')
    } else wire.toServer(frame.bytes)
  }

  const onReply = (frame: Frame<Message>) => {
    if (replying?.reply !== frame.message) {
      const message = protocol.requestOf(frame.message)
      const exchange = message && exchanges.get(message)
      if (message !== undefined) exchanges.delete(message)
      replying = { reply: frame.message, exchange }
      if (exchange !== undefined) {
        exchange.request.status = protocol.statusOf(frame.message)
        if (exchange.action?.fault === 'delay') wire.holdReply(exchange.action.ms)
      }
    }
    const { exchange } = replying
    if (exchange !== undefined) exchange.request.replyBytes += frame.bytes.length
    const action = exchange?.action
    if (exchange === undefined || action === undefined) wire.toClient(frame.bytes)
    else if (action.fault === 'lose reply') {
      if (!frame.ends) return
      cut = true
      if (action.then === 'silence') wire.silence()
      else wire.cut(action.then)
    } else if (action.fault === 'half-open' && action.after === undefined) {
      cut = true
      wire.silence()
    } else if (action.fault === 'reset reply' || action.fault === 'half-open') {
      const { after = 0 } = action
      const head = frame.begins ? protocol.headOf(frame.bytes) : 0
      const left = after - exchange.replyBody
      exchange.replyBody += frame.bytes.length - head
      wire.toClient(frame.bytes.subarray(0, head + left))
      if (exchange.replyBody < after && !frame.ends) return
      cut = true
      if (action.fault === 'reset reply') wire.resetAfter('client')
      else wire.silenceAfter()
    } else wire.toClient(frame.bytes)
  }

  const each = (frames: readonly Frame<Message>[], on: (frame: Frame<Message>) => void) => {
    for (const frame of frames) if (!cut) on(frame)
  }
  return {
    fromClient: (bytes: Buffer) => each(protocol.requests.push(bytes), onRequest),
    fromServer: (bytes: Buffer) => each(protocol.replies.push(bytes), onReply),
    clientEnded: () => each(protocol.requests.end(), onRequest),
    serverEnded: () => each(protocol.replies.end(), onReply),
  }
}

export type Inspector = ReturnType<typeof inspector>
