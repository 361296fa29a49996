import type { Frame, Framer } from './frame.ts'

/** A message of MongoDB's wire protocol. */
export interface MongoMessage {
  readonly requestId: number
  readonly responseTo: number
  readonly opcode: number
  /** The first key of the command's document: `insert`, `find`, `hello`. `unknown` for opcodes that carry none. */
  readonly command: string
}

/** https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md */
export const OP_MSG = 2013
export const OP_QUERY = 2004
const HEADER = 16

/**
 * The wire protocol of MongoDB in one direction. Of a message only its beginning is kept back, until its command is known: a
 * message may have 48 MB.
 */
export function mongoFrames(): Framer<MongoMessage> {
  let head: Buffer = Buffer.alloc(0)
  let message: MongoMessage | undefined
  let left = 0
  return {
    push(chunk) {
      const frames: Frame<MongoMessage>[] = []
      let rest = chunk
      while (rest.length > 0) {
        if (message === undefined) {
          const bytes = head.length === 0 ? rest : Buffer.concat([head, rest])
          const parsed = headOf(bytes)
          if (parsed === undefined) {
            head = bytes
            break
          }
          head = Buffer.alloc(0)
          message = parsed.message
          const end = Math.min(parsed.length, bytes.length)
          left = parsed.length - end
          frames.push({ message, bytes: bytes.subarray(0, end), begins: true, ends: left === 0 })
          rest = bytes.subarray(end)
        } else {
          const end = Math.min(left, rest.length)
          left -= end
          frames.push({ message, bytes: rest.subarray(0, end), begins: false, ends: left === 0 })
          rest = rest.subarray(end)
        }
        if (left === 0) message = undefined
      }
      return frames
    },
    end: () => [],
  }
}

/** Undefined as long as the bytes do not reach to the command's name. */
function headOf(bytes: Buffer): { readonly message: MongoMessage; readonly length: number } | undefined {
  if (bytes.length < HEADER) return undefined
  const length = bytes.readInt32LE(0)
  const opcode = bytes.readInt32LE(12)
  if (length < HEADER) throw new Error(`a message of MongoDB's wire protocol that claims ${length} bytes`)
  const message = { requestId: bytes.readInt32LE(4), responseTo: bytes.readInt32LE(8), opcode }
  const within = bytes.subarray(0, Math.min(length, bytes.length))
  const whole = bytes.length >= length
  const command = opcode === OP_MSG ? commandOfMsg(within) : opcode === OP_QUERY ? commandOfQuery(within) : 'unknown'
  if (command === undefined && !whole) return undefined
  return { message: { ...message, command: command ?? 'unknown' }, length }
}

/** Sections come in any order; the one of kind 0 is the command. */
function commandOfMsg(bytes: Buffer): string | undefined {
  let at = HEADER + 4
  while (at < bytes.length) {
    const kind = bytes[at]
    if (kind === 0) return firstKey(bytes, at + 1)
    if (kind !== 1 || at + 5 > bytes.length) return undefined
    at += 1 + bytes.readInt32LE(at + 1)
  }
  return undefined
}

/** What a driver greets with before it knows that the server takes OP_MSG. */
function commandOfQuery(bytes: Buffer): string | undefined {
  const nameEnds = bytes.indexOf(0, HEADER + 4)
  return nameEnds < 0 ? undefined : firstKey(bytes, nameEnds + 1 + 8)
}

function firstKey(bytes: Buffer, document: number): string | undefined {
  const key = document + 5
  const ends = key < bytes.length ? bytes.indexOf(0, key) : -1
  return ends < 0 ? undefined : bytes.toString('utf8', key, ends)
}
