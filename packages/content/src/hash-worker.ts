import { createHash } from 'node:crypto'
import { parentPort } from 'node:worker_threads'

parentPort?.on('message', ({ shared, length }: { shared: SharedArrayBuffer; length: number }) => {
  parentPort?.postMessage(
    createHash('sha256')
      .update(new Uint8Array(shared, 0, length))
      .digest('hex'),
  )
})
