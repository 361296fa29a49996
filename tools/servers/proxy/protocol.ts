import type { HttpAnswer, MongoAnswer } from './actions.ts'
import { httpReply, mongoReply } from './answers.ts'
import type { Framer } from './frame.ts'
import { type HttpMessage, httpFrames } from './http-frames.ts'
import { type MongoMessage, mongoFrames } from './mongodb-frames.ts'
import { type HttpStore, operationOf } from './operations.ts'
import type { ProxiedRequest } from './request.ts'

/** What a request's head says; the proxy adds who and when. */
export type Described = Pick<ProxiedRequest, 'operation' | 'method' | 'path' | 'query' | 'headers'>

/** One protocol, as one connection speaks it: how its bytes are cut into messages, and which reply belongs to which request. */
export interface Protocol<Message> {
  readonly requests: Framer<Message>
  readonly replies: Framer<Message>
  describe(message: Message): Described
  /** A request that goes on to the server: its reply will be asked for. */
  sent(message: Message): void
  /** The request that a reply answers; undefined for one that answers none, as HTTP's `100 Continue` and MongoDB's streamed greetings. */
  requestOf(reply: Message): Message | undefined
  statusOf(reply: Message): number
  /** How many bytes of a message that begins are its head; the rest is its body. */
  headOf(bytes: Buffer): number
  answer(reply: HttpAnswer | MongoAnswer, to: Message): Buffer
  /** What is to be said before a request that is answered by the proxy sends its body. */
  goOn(message: Message): Buffer | undefined
}

export function mongoProtocol(): Protocol<MongoMessage> {
  const open = new Map<number, MongoMessage>()
  return {
    requests: mongoFrames(),
    replies: mongoFrames(),
    describe: ({ command }) => ({
      operation: command,
      method: '',
      path: '',
      query: new URLSearchParams(),
      headers: new Map(),
    }),
    sent: (message) => void open.set(message.requestId, message),
    requestOf({ responseTo }) {
      const request = open.get(responseTo)
      open.delete(responseTo)
      return request
    },
    statusOf: () => 0,
    headOf: () => 16,
    answer(reply, to) {
      if (!('code' in reply)) throw new Error('a MongoDB command can be answered only with { code, … }')
      return mongoReply(reply, to)
    },
    goOn: () => undefined,
  }
}

export function httpProtocol(store: HttpStore | undefined): Protocol<HttpMessage> {
  const open: HttpMessage[] = []
  const informs = (reply: HttpMessage) => /^HTTP\/1\.\d 1\d\d\b/.test(reply.firstLine)
  return {
    requests: httpFrames('request'),
    replies: httpFrames('reply', (reply) => !informs(reply) && methodOf(open[0]) === 'HEAD'),
    describe({ firstLine, headers }) {
      const [method = '', target = ''] = firstLine.split(' ')
      const [path = '', query = ''] = target.replace(/^https?:\/\/[^/]+/, '').split('?', 2)
      const seen = { method, path, query: new URLSearchParams(query), headers }
      return { operation: operationOf(store, seen), ...seen }
    },
    sent: (message) => void open.push(message),
    requestOf: (reply) => (informs(reply) ? undefined : open.shift()),
    statusOf: ({ firstLine }) => Number(firstLine.split(' ')[1]),
    headOf: (bytes) => bytes.indexOf('\r\n\r\n') + 4,
    answer(reply, to) {
      if (!('status' in reply)) throw new Error('an HTTP request can be answered only with { status, … }')
      return httpReply(reply, methodOf(to))
    },
    goOn: ({ headers }) => (headers.has('expect') ? Buffer.from('HTTP/1.1 100 Continue\r\n\r\n') : undefined),
  }
}

function methodOf(request: HttpMessage | undefined): string {
  return request?.firstLine.split(' ')[0] ?? ''
}
