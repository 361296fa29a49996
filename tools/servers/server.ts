import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a kind of server needs to be told: how it is started in a folder and on a port. */
export interface Launch {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Where a server came from: see README.md. */
export type Origin = 'environment' | 'PATH' | 'cache' | 'install' | 'npm' | 'container'

/** What is special about a kind of server. */
export interface ServerOptions {
  readonly from?: Origin
  /** Whether it may be used, or why not yet; asked again and again. When left out: its port accepts connections. */
  ready?(port: number): Promise<true | string>
  /** Ends the server where that is not its process's signal; the process then has to end by itself. May find nothing to end. */
  end?(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Removes what it has beside its folder. */
  remove?(): Promise<void>
}

export interface RunningServer {
  /** Program and version, as reports print it. */
  readonly name: string
  readonly from: Origin
  /** `127.0.0.1` for every server that is started here; the host of the URL for a user's own. */
  readonly host: string
  readonly port: number
  /** Whether it was started here. A user's own server can be neither killed nor started: `kill` and `start` throw then. */
  readonly ours: boolean
  /** The folder that holds its data and its log; removed by `stop`. Empty for a user's own server; a container's data are in a volume. */
  readonly folder: string
  /** 0 for a user's own server; of a container its client's. */
  readonly pid: number
  /** SIGKILL, and waits for the process to be gone. The data stay; `start` brings it back on the same port. */
  kill(): Promise<void>
  /** Starts it again after `kill`, on the same port and folder. */
  start(): Promise<void>
  /** SIGTERM, then SIGKILL after 5 s; removes the folder. Leaves a user's own server running. */
  stop(): Promise<void>
}

/** A port of 127.0.0.1 that nobody listened on a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

/**
 * Starts a server in a new temporary folder and waits until its port answers. `launch` is asked anew at every start.
 *
 * @throws with the end of its log when it does not come up
 */
export async function startServer(
  name: string,
  launch: (at: { readonly port: number; readonly folder: string; readonly data: string }) => Launch | Promise<Launch>,
  o: ServerOptions = {},
): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-server-'))
  const data = join(folder, 'data')
  await mkdir(data)
  const port = await freePort()
  let child: ChildProcess | undefined

  const start = async () => {
    if (child !== undefined && child.exitCode === null && child.signalCode === null) {
      throw new Error(`${name} on 127.0.0.1:${port} is running already (process ${child.pid})`)
    }
    const { program, args, env } = await launch({ port, folder, data })
    const log = await open(join(folder, 'log'), 'a')
    const started = spawn(program, args, { stdio: ['ignore', log.fd, log.fd], env: { ...process.env, ...env } })
    child = started
    const waiting = new AbortController()
    const failed = new Promise<never>((_, reject) => {
      started.once('error', (error) => reject(new Error(`${name}: cannot start ${program}: ${error.message}`)))
      started.once('exit', (code, signal) => reject(new Error(`${name} ended (${code ?? signal}) before it was ready`)))
    })
    failed.catch(() => waiting.abort())
    await log.close()
    try {
      await Promise.race([failed, answers(port, waiting.signal, o.ready ?? accepts)])
    } catch (error) {
      await end('SIGKILL')
      const tail = (await readFile(join(folder, 'log'), 'utf8')).trim().split('\n').slice(-15).join('\n')
      throw new Error(`${(error as Error).message}. The end of its log:\n${tail}`)
    }
    started.unref()
  }
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const running = child
    if (running === undefined || running.pid === undefined) return
    const over = running.exitCode !== null || running.signalCode !== null
    if (over) return await o.end?.(signal)
    const gone = new Promise<void>((resolve) => running.once('exit', () => resolve()))
    running.ref()
    if (o.end === undefined) running.kill(signal)
    else await o.end(signal)
    const later =
      signal === 'SIGTERM' || o.end !== undefined ? setTimeout(() => running.kill('SIGKILL'), 5000) : undefined
    await gone
    clearTimeout(later)
  }
  // A test process that ends without `stop` must not leave its server behind.
  const onExit = () => child?.kill('SIGKILL')
  process.once('exit', onExit)
  const stop = async () => {
    process.off('exit', onExit)
    await end('SIGTERM')
    await o.remove?.()
    await rm(folder, { recursive: true, force: true })
  }

  try {
    await start()
  } catch (error) {
    await stop()
    throw error
  }
  return {
    name,
    from: o.from ?? 'PATH',
    host: '127.0.0.1',
    port,
    ours: true,
    folder,
    get pid() {
      return child?.pid ?? 0
    },
    kill: () => end('SIGKILL'),
    start,
    stop,
  }
}

/** Waits until it is ready; one minute at most. */
async function answers(port: number, signal: AbortSignal, ready: (port: number) => Promise<true | string>) {
  const until = Date.now() + 60_000
  while (!signal.aborted) {
    const is = await ready(port)
    if (is === true) return
    if (Date.now() > until) throw new Error(`${is} on 127.0.0.1:${port} after a minute`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Whether something accepts connections on the port. */
function accepts(port: number): Promise<true | string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve('nothing listens'))
  })
}
