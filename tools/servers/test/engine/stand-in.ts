/**
 * Stands in for `docker` and `podman`: takes their command line as far as tools/servers uses it, and refuses every other.
 * Its containers are processes of this machine that outlive the client which started them, as a real engine's do.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { appendFileSync, existsSync, mkdirSync, rmSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type StandInContainer, StandInState } from './state.ts'

const state = new StandInState(process.env['TENSORHUB_STAND_IN'] ?? '')
const args = process.argv.slice(2)
appendFileSync(state.path('calls'), `${JSON.stringify(args)}\n`)

class Refused extends Error {}
const print = (line: string) => process.stdout.write(`${line}\n`)
const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const container = (id: string | undefined): StandInContainer => {
  if (id === undefined || !/^[0-9a-f]{64}$/.test(id))
    throw new Refused(`${id} is no id: containers are not to be called by name`)
  if (!existsSync(state.path('containers', id))) throw new Refused(`No such container: ${id}`)
  return state.read<StandInContainer>('containers', id)
}

function makeVolume(name: string, label: string): void {
  mkdirSync(state.path('volumes', name, 'data'), { recursive: true })
  state.write(label, 'volumes', name, 'label')
}

async function end(id: string, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  container(id)
  const pid = state.pidOf(id)
  if (pid === undefined) throw new Refused(`container ${id} is not running`)
  // The shim passes SIGTERM on; SIGUSR2 means SIGKILL for what it runs.
  process.kill(pid, signal === 'SIGKILL' ? 'SIGUSR2' : 'SIGTERM')
  if (signal === 'SIGTERM') return
  while (existsSync(state.path('containers', id)) && isAlive(pid)) await sleep(20)
  // A shim that had not come to listen to signals.
  if (!existsSync(state.path('exits', id))) state.write(137, 'exits', id)
  for (const folder of ['pids', 'containers']) rmSync(state.path(folder, id), { force: true })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** The containers there are, with what was asked of them; one may go while they are read. */
function all(): (StandInContainer & { readonly id: string })[] {
  return state.list('containers').flatMap((id) => {
    try {
      return [{ id, ...container(id) }]
    } catch {
      return []
    }
  })
}

const COMMANDS: Readonly<Record<string, (rest: string[]) => Promise<number | undefined> | number | undefined>> = {
  ps(rest) {
    const { values } = parseArgs({ args: rest, options: { all: flag, quiet: flag, 'no-trunc': flag, filter: text } })
    const [key, ...value] = (values.filter ?? '').split('=')
    for (const { id, label } of all()) {
      const is = key === 'id' ? id : key === 'label' ? label : ''
      if (is === value.join('=') && (values.all || state.pidOf(id) !== undefined)) print(id)
    }
    return 0
  },
  image([verb, ref = '']) {
    if (verb !== 'inspect') throw new Refused(`image ${verb}`)
    if (!(ref in state.config.images)) throw new Refused(`No such image: ${ref}`)
    return 0
  },
  pull(rest) {
    const { values, positionals } = parseArgs({ args: rest, options: { quiet: flag }, allowPositionals: true })
    const [ref = ''] = positionals
    const { config } = state
    const got = config.registry[ref]
    if (!values.quiet || got === undefined)
      throw new Refused(`pull access denied for ${ref}, repository does not exist`)
    state.write({ ...config, images: { ...config.images, [ref]: got } }, 'config.json')
    return 0
  },
  volume([verb, ...rest]) {
    if (verb === 'create') {
      const { values } = parseArgs({ args: rest, options: { label: text } })
      const name = randomBytes(32).toString('hex')
      makeVolume(name, values.label ?? '')
      print(name)
    } else if (verb === 'ls') {
      const { values } = parseArgs({ args: rest, options: { quiet: flag, filter: text } })
      for (const name of state.list('volumes')) {
        if (values.filter === `label=${state.read('volumes', name, 'label')}`) print(name)
      }
    } else if (verb === 'rm') {
      for (const name of rest) {
        if (!existsSync(state.path('volumes', name))) throw new Refused(`no such volume: ${name}`)
        if (all().some(({ volume }) => volume === name)) throw new Refused('volume is in use')
        rmSync(state.path('volumes', name), { recursive: true })
      }
    } else throw new Refused(`volume ${verb}`)
    return 0
  },
  async create(rest) {
    const options = {
      ...{ rm: flag, label: text, publish: text, volume: text, entrypoint: text },
      env: { type: 'string', multiple: true },
    } as const
    // What follows the image is the container's.
    const at = rest.findIndex((word) => word in state.config.images)
    if (at < 0) throw new Refused('no such image')
    const { values } = parseArgs({ args: rest.slice(0, at), options })
    const published = /^127\.0\.0\.1:(\d+):\1$/.exec(values.publish ?? '')
    const [volume = '', mountedAt = ''] = (values.volume ?? '').split(':')
    if (!values.rm || published === null) throw new Refused('create')
    await sleep(state.config.createTakes ?? 0)
    // As engines do, and without a label.
    if (!existsSync(state.path('volumes', volume))) makeVolume(volume, '')
    const id = randomBytes(32).toString('hex')
    // A shell's `-c SCRIPT NAME`: the server's own arguments are what follows.
    const own = rest.slice(at + 1 + (values.entrypoint === undefined ? 0 : 3))
    state.write(
      {
        ...{ image: rest[at], label: values.label, port: Number(published[1]), volume, mountedAt, args: own },
        env: Object.fromEntries((values.env ?? []).map((name) => [name, process.env[name] ?? ''])),
      },
      ...['containers', id],
    )
    print(id)
    return 0
  },
  async start(rest) {
    const { values, positionals } = parseArgs({ args: rest, options: { attach: flag }, allowPositionals: true })
    const [id = ''] = positionals
    container(id)
    if (!values.attach) throw new Refused('start')
    const shim = spawn(process.execPath, [fileURLToPath(new URL('shim.ts', import.meta.url)), id], {
      ...{ detached: true, stdio: ['ignore', 'inherit', 'inherit'] },
    })
    state.write(shim.pid, 'pids', id)
    shim.unref()
    while (existsSync(state.path('containers', id))) await sleep(20)
    return state.read<number>('exits', id)
  },
  async kill([id = '']) {
    await end(id, 'SIGKILL')
    return 0
  },
  async stop(rest) {
    const { positionals } = parseArgs({
      args: rest,
      options: { t: { type: 'string', short: 't' } },
      allowPositionals: true,
    })
    const [id = ''] = positionals
    await end(id, 'SIGTERM')
    while (existsSync(state.path('containers', id))) await sleep(20)
    return 0
  },
  async rm(rest) {
    const { values, positionals } = parseArgs({
      args: rest,
      options: { force: flag, volumes: flag },
      allowPositionals: true,
    })
    for (const id of positionals) {
      container(id)
      const running = state.pidOf(id) !== undefined
      if (running && !values.force) throw new Refused(`container ${id} is running`)
      if (running) await end(id, 'SIGKILL')
      else rmSync(state.path('containers', id), { force: true })
    }
    return 0
  },
}

try {
  const { fails } = state.config
  if (fails !== undefined) throw new Refused(fails)
  const [verb = '', ...rest] = args
  const command = COMMANDS[verb]
  if (command === undefined) throw new Refused(`unknown command: ${verb}`)
  process.exitCode = (await command(rest)) ?? 0
} catch (error) {
  process.stderr.write(`Error: ${(error as Error).message}\n`)
  process.exitCode = error instanceof Refused ? 1 : 125
}
