import { connect } from 'node:net'
import type { MongoClient } from 'mongodb'

const MOST_MS = 1000
const MONGODB = /MongoDB/i
/** How web servers, SSH, mail and Redis begin their answers to a line of text. */
const OTHERS = /^(HTTP\/\d|SSH-|220[ -]|-ERR|-DENIED)/

/**
 * Whether something else than MongoDB listens where a client could not get in. The driver cannot tell: it takes the beginning of an answer of text for the length of a message, and waits for
 * the rest. MongoDB answers HTTP too, and says so.
 */
export async function isOtherServer({ options }: MongoClient): Promise<boolean> {
  const [first] = options.hosts
  const { host, port } = first ?? {}
  if (options.tls || host === undefined || port === undefined) return false
  const answer = await new Promise<string>((resolve) => {
    let text = ''
    const socket = connect({ host, port })
    const end = () => {
      socket.destroy()
      resolve(text)
    }
    socket.setTimeout(MOST_MS, end)
    socket.on('error', end).on('close', end)
    socket.on('data', (bytes) => {
      text += bytes.toString('latin1')
      if (text.length > 4096) end()
    })
    socket.write('GET / HTTP/1.0\r\n\r\n')
  })
  return OTHERS.test(answer) && !MONGODB.test(answer)
}
