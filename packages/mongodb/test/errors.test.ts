import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import { expect, it } from 'vitest'
import { mapMongoError } from '../src/errors.ts'

const context = { place: '127.0.0.1/db', timeout: 1000 }

/** What Node says of a write on a socket that the other side has closed. */
async function writtenAfterClose(): Promise<unknown> {
  const server = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket: Socket = connect({ port: (server.address() as { port: number }).port, host: '127.0.0.1' })
  const failed = once(socket, 'error')
  socket.resume()
  await once(socket, 'end')
  socket.write('hello')
  const [error] = await failed
  server.close()
  return error
}

it('a write on a socket that the server has closed: a reply that was lost; a read may be made again', async () => {
  const error = await writtenAfterClose()
  expect(error).toMatchObject({ code: 'EPIPE' })
  const at = (op: string) => ({ scheme: 'mongodb', op, target: 'tasks' })
  expect(mapMongoError(error, at('insert'), context)).toMatchObject({ code: 'UNKNOWN', reason: 'REPLY_LOST' })
  expect(mapMongoError(error, at('find'), context)).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
})
