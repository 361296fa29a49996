import { parentPort, workerData } from 'node:worker_threads'
import { Connection } from './connection.ts'
import { sqliteCode } from './errors.ts'
import { Readers } from './readers.ts'
import type { Reply, Request } from './scanner.ts'

/** The other end of scanner.ts: reads that visit many rows, and the making of indexes, away from the event loop that holds heartbeats. */
const file = workerData as string
const port = parentPort
if (port === null) throw new Error('scan-worker.ts runs as a worker thread only.')
const readers = new Readers(file)
const running = new Map<number, AsyncGenerator<readonly string[], void, undefined>>()

port.on('message', (request: Request) => {
  answer(request).then(
    (reply) => port.postMessage(reply),
    (error: unknown) => port.postMessage(failure(request.id, error)),
  )
})

async function answer(request: Request): Promise<Reply> {
  const { id } = request
  switch (request.kind) {
    case 'rows': {
      let batches = running.get(id)
      if (batches === undefined) {
        batches = readers.batches(request.sql, request.params, undefined, undefined)
        running.set(id, batches)
      }
      const { done, value } = await batches.next()
      if (done === true) running.delete(id)
      return { id, bodies: done === true ? undefined : value }
    }
    case 'stop': {
      await running.get(id)?.return()
      running.delete(id)
      return { id, bodies: undefined }
    }
    case 'count': {
      const rows = await readers.all(request.sql, request.params, undefined)
      return { id, count: rows[0]?.['n'] as number }
    }
    case 'write': {
      // The lock is asked for once: whoever asked waits, and asks again.
      const connection = new Connection(file, false)
      try {
        connection.database.exec('BEGIN IMMEDIATE')
        connection.database.exec(request.sql)
        connection.database.exec('COMMIT')
      } finally {
        if (connection.database.isTransaction) connection.database.exec('ROLLBACK')
        connection.close()
      }
      return { id, bodies: undefined }
    }
  }
}

function failure(id: number, error: unknown): Reply {
  running.delete(id)
  const message = error instanceof Error ? error.message : String(error)
  return { id, error: { message, code: sqliteCode(error) } }
}
