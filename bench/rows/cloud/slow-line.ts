import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** What design §10 measures the cloud's adapters over: 20 ms of round trip, 25 MB/s a connection and direction. */
export const LINE = { roundTrip: 20, bandwidth: 25e6 } as const

/** Such a line to a server. */
export async function slowLine(target: { readonly host: string; readonly port: number }): Promise<{
  readonly port: number
  close(): Promise<void>
}> {
  const child = fork(fileURLToPath(new URL('./proxy-process.ts', import.meta.url)))
  child.send({ target, options: LINE })
  const [port] = (await once(child, 'message')) as [number]
  return {
    port,
    async close() {
      const ended = once(child, 'exit')
      child.disconnect()
      await ended
    },
  }
}
