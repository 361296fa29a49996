/**
 * A container of the stand-in: runs a program of this machine as what the image would run, and publishes its port.
 *
 * As with a real engine, the published port accepts connections before the server listens, and closes them.
 */
import { spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { type StandInContainer, StandInState } from './state.ts'

const LISTENS_AFTER_MS = 300
const state = new StandInState(process.env['TENSORHUB_STAND_IN'] ?? '')
const id = process.argv[2] ?? ''
const { image, port, volume, mountedAt, env, args } = state.read<StandInContainer>('containers', id)
const { command, takes } = state.config.images[image] ?? { command: ['no such image'] }
// The rest of 127/8 is this machine too, on Linux: an address where the same port is free.
const inside = process.platform === 'linux' ? '127.0.0.2' : '127.0.0.1'
const data = state.path('volumes', volume, 'data')

const over = (code: number) => {
  state.write(code, 'exits', id)
  rmSync(state.path('pids', id), { force: true })
  rmSync(state.path('containers', id), { force: true })
  process.exit()
}
const own = args.map((word) =>
  word === mountedAt ? data : word === '0.0.0.0' ? inside : word === `:${port}` ? `${inside}:${port}` : word,
)
function secantus(mongod: readonly string[]): string[] {
  const has = (name: string) => mongod.includes(name)
  const standalone = has('--replSet') ? [] : ['--standalone']
  const auth = has('--auth') || has('--keyFile') ? ['--auth'] : []
  if (mongod[0] !== 'mongod' || !has('--bind_ip_all') || !has(String(port))) process.exit(64)
  return ['--host', inside, '--port', String(port), '--storage-path', data, '--sync-on-commit', ...standalone, ...auth]
}

if (inside !== '127.0.0.1') {
  const published = createServer((socket) => {
    const server = connect(port, inside)
    for (const [one, other] of [
      [socket, server],
      [server, socket],
    ] as const) {
      one.on('error', () => other.destroy()).on('close', () => other.destroy())
    }
    socket.pipe(server).pipe(socket)
  })
  published.once('error', (error) => {
    process.stderr.write(`Error: cannot publish: ${error.message}\n`)
    over(125)
  })
  published.listen(port, '127.0.0.1')
}
let killed = false
process.on('SIGUSR2', () => {
  killed = true
  over(137)
})
await sleep(LISTENS_AFTER_MS)
const [program, ...first] = command as [string, ...string[]]
const server = spawn(program, [...first, ...(takes === 'mongod' ? secantus(own) : own)], {
  stdio: ['ignore', 'inherit', 'inherit'],
  env: { ...process.env, ...env },
})
process.removeAllListeners('SIGUSR2')
process.on('SIGUSR2', () => server.kill('SIGKILL'))
process.on('SIGTERM', () => server.kill('SIGTERM'))
if (killed) server.kill('SIGKILL')
server.once('exit', (code, signal) => over(code ?? (signal === 'SIGKILL' ? 137 : 143)))
server.once('error', (error) => {
  process.stderr.write(`Error: ${error.message}\n`)
  over(127)
})
