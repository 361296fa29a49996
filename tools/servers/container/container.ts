import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type RunningServer, startServer } from '../server.ts'
import { type Engine, tell } from './engine.ts'
import { type Image, withRegistry } from './images.ts'
import { startReaper } from './reaper.ts'

const GONE_WITHIN_MS = 60_000

/** What a server in a container needs to be told. */
export interface ContainerLaunch {
  /** What the image's entrypoint is given. The server is to listen on all of the container's addresses, at this port. */
  readonly args: readonly string[]
  /** Instead of the image's own. */
  readonly entrypoint?: string
  /** Handed over by name, so that no value stands in a list of processes. */
  readonly env?: Readonly<Record<string, string>>
}

/**
 * Starts a server in a container, published on 127.0.0.1 alone. Inside it listens on the same port, so that a server that tells its
 * own address (a replica set, a resumable upload) tells the right one. `launch` is asked anew at every start.
 *
 * Its data are in a volume, which belongs to the engine: no users to map, and nothing of the machine's file systems to share.
 * Containers are ended by their ids; one whose process ended without `stop` is removed by its reaper.
 *
 * @throws with the end of its log when it does not come up
 */
export async function startContainer(
  { engine, image }: { readonly engine: Engine; readonly image: Image },
  launch: (at: { readonly port: number; readonly data: string }) => ContainerLaunch,
  ready: (port: number) => Promise<true | string>,
): Promise<RunningServer> {
  const label = `tensorhub.server=${randomBytes(16).toString('hex')}`
  const reaper = await startReaper(engine, label)
  let volume: string | undefined
  let id: string | undefined
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    if (id === undefined) return
    // Fails where it has ended by itself, which is as good; `removed` sees whether it has.
    await tell(engine, signal === 'SIGKILL' ? ['kill', id] : ['stop', '-t', '5', id]).catch(() => undefined)
    await removed(engine, id)
    id = undefined
  }
  const remove = async () => {
    await end('SIGKILL')
    if (volume !== undefined) await tell(engine, ['volume', 'rm', volume])
    volume = undefined
    reaper.done()
  }
  try {
    volume = await tell(engine, ['volume', 'create', '--label', label])
    return await startServer(
      `${image.name} (${engine.name})`,
      async ({ port, folder }) => {
        reaper.folder(folder)
        // That of the last start is still there where somebody killed its client.
        await end('SIGKILL')
        const { args, entrypoint, env = {} } = launch({ port, data: image.data })
        id = await tell(
          engine,
          [
            ...['create', '--rm', '--label', label, '--publish', `127.0.0.1:${port}:${port}`],
            ...['--volume', `${volume}:${image.data}`],
            ...Object.keys(env).flatMap((name) => ['--env', name]),
            ...(entrypoint === undefined ? [] : ['--entrypoint', entrypoint]),
            ...[withRegistry(image), ...args],
          ],
          { env },
        )
        return { program: engine.program, args: ['start', '--attach', id] }
      },
      { from: 'container', ready, end, remove },
    )
  } catch (error) {
    // What can't be removed now is its reaper's, when this process ends.
    await remove().catch(() => undefined)
    throw error
  }
}

/** Waits until the engine has no such container any more; its --rm may be at work on it, and may have been left undone. */
async function removed(engine: Engine, id: string): Promise<void> {
  const until = Date.now() + GONE_WITHIN_MS
  let reason = ''
  while ((await tell(engine, ['ps', '--all', '--quiet', '--no-trunc', '--filter', `id=${id}`])) !== '') {
    if (Date.now() > until) throw new Error(`the container ${id} is still there. ${reason}`)
    await tell(engine, ['rm', '--force', '--volumes', id]).catch((error: Error) => {
      reason = error.message
    })
    await sleep(100)
  }
}

/** Whether a server of HTTP answers. That a connection is accepted says nothing: engines accept it before the server listens. */
export async function answersHttp(port: number): Promise<true | string> {
  try {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5000) })
    await answer.body?.cancel()
    return true
  } catch (error) {
    const { message, cause } = error as Error
    return `no answer (${cause instanceof Error ? cause.message : message})`
  }
}
