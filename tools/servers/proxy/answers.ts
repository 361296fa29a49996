import { STATUS_CODES } from 'node:http'
import { BSON } from 'mongodb'
import type { HttpAnswer, MongoAnswer } from './actions.ts'
import { type MongoMessage, OP_MSG, OP_QUERY } from './mongodb-frames.ts'

/** An HTTP reply; to HEAD without its body. */
export function httpReply({ status, headers = {}, body = '' }: HttpAnswer, method: string): Buffer {
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Unknown'}`,
    ...('date' in headers ? [] : [`date: ${new Date().toUTCString()}`]),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(status === 204 || status === 304 ? [] : [`content-length: ${Buffer.byteLength(body)}`]),
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${method === 'HEAD' ? '' : body}`)
}

/** https://www.mongodb.com/docs/manual/legacy-opcodes/#op_reply */
const OP_REPLY = 1

/** A reply that refuses a command, in the form that it was asked in. */
export function mongoReply(error: MongoAnswer, to: MongoMessage): Buffer {
  const { code, codeName = 'Proxy', errmsg = codeName, errorLabels } = error
  const document = BSON.serialize({ ok: 0, code, codeName, errmsg, ...(errorLabels ? { errorLabels } : {}) })
  const legacy = to.opcode === OP_QUERY
  // OP_MSG: flags and the kind of its one section. OP_REPLY: flags, cursor, first document, their number.
  const head = Buffer.alloc(16 + (legacy ? 20 : 5))
  head.writeInt32LE(head.length + document.length, 0)
  head.writeInt32LE(to.requestId, 8)
  head.writeInt32LE(legacy ? OP_REPLY : OP_MSG, 12)
  if (legacy) head.writeInt32LE(1, 32)
  return Buffer.concat([head, document])
}
