import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What a kind of server needs to be told: how it is started in a folder and on a port. */
export interface Launch {
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

export interface RunningServer {
  /** Program and version, as reports print it. */
  readonly name: string
  readonly host: '127.0.0.1'
  readonly port: number
  /** The folder that holds its data and its log; removed by `stop`. */
  readonly folder: string
  readonly pid: number
  /** SIGKILL, and waits for the process to be gone. The data stay; `start` brings it back on the same port. */
  kill(): Promise<void>
  /** Starts it again after `kill`, on the same port and folder. */
  start(): Promise<void>
  /** SIGTERM, then SIGKILL after 5 s; removes the folder. */
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

/** Starts a server in a new temporary folder and waits until its port answers. @throws with the end of its log when it does not. */
export async function startServer(
  name: string,
  launch: (at: { readonly port: number; readonly folder: string; readonly data: string }) => Launch,
): Promise<RunningServer> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-server-'))
  const data = join(folder, 'data')
  await mkdir(data)
  const port = await freePort()
  const { program, args, env } = launch({ port, folder, data })
  let child: ChildProcess | undefined

  const start = async () => {
    const log = await open(join(folder, 'log'), 'a')
    child = spawn(program, args, { stdio: ['ignore', log.fd, log.fd], env: { ...process.env, ...env } })
    await log.close()
    const failed = new Promise<never>((_, reject) => {
      child?.once('error', reject)
      child?.once('exit', (code, signal) => reject(new Error(`${name} ended (${code ?? signal}) before it was ready`)))
    })
    failed.catch(() => undefined)
    await Promise.race([failed, answers(port)])
    child.unref()
  }
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    const running = child
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const gone = new Promise<void>((resolve) => running.once('exit', () => resolve()))
    running.ref()
    running.kill(signal)
    const later = signal === 'SIGTERM' ? setTimeout(() => running.kill('SIGKILL'), 5000) : undefined
    await gone
    clearTimeout(later)
  }
  // A test process that ends without `stop` must not leave its server behind.
  const onExit = () => child?.kill('SIGKILL')
  process.once('exit', onExit)

  await start()
  return {
    name,
    host: '127.0.0.1',
    port,
    folder,
    get pid() {
      return child?.pid ?? 0
    },
    kill: () => end('SIGKILL'),
    start,
    async stop() {
      process.off('exit', onExit)
      await end('SIGTERM')
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Waits until something accepts connections on the port; one minute at most. */
async function answers(port: number): Promise<void> {
  const until = Date.now() + 60_000
  for (;;) {
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.once('connect', () => {
        socket.destroy()
        resolve(true)
      })
      socket.once('error', () => resolve(false))
    })
    if (open) return
    if (Date.now() > until) throw new Error(`nothing listens on 127.0.0.1:${port} after a minute`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
