import { rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { TensorHub } from 'tensorhub'
import { afterEach, describe, expect, it } from 'vitest'
import { TASK } from '../plan.ts'
import { descendants, hubFolder, isAlive, openHub, Program, until } from './processes.ts'

/** Small enough for seconds; what is learnt of some thousand digits is more than chance. */
const TINY = ['--quick', '--units', '64,48', '--rows', '4000', '--epochs', '1', '--bar', '0.2']
/** Long enough to be met at work. */
const LONG = ['--quick', '--units', '32,32', '--rows', '4000', '--epochs', '1000']

// Which processes are below another is read from /proc.
const onLinux = it.skipIf(process.platform !== 'linux')

describe('the demo', { timeout: 300_000 }, () => {
  const folders: string[] = []
  const programs: Program[] = []
  const hubs: TensorHub[] = []

  afterEach(async () => {
    for (const program of programs.splice(0)) {
      if (isAlive(program.pid)) process.kill(program.pid, 'SIGTERM')
      await program.ended
    }
    for (const hub of hubs.splice(0)) await hub.close()
    for (const folder of folders.splice(0)) await rm(dirname(folder), { recursive: true, force: true })
  })

  async function newFolder(): Promise<string> {
    const folder = await hubFolder()
    folders.push(folder)
    return folder
  }

  function start(file: string, ...args: string[]): Program {
    const program = new Program(file, args)
    programs.push(program)
    return program
  }

  /** The demo at work: its hub, and a task with the runner that has it; with `progress` one whose script is training. */
  async function atWork(program: Program, folder: string, { progress }: { progress: boolean }) {
    await until('runners', async () => (program.output.includes('● Started') ? true : undefined))
    const hub = await openHub(folder)
    hubs.push(hub)
    const task = await until('a task at work', async () => {
      const [first] = await hub.tasks.find({ status: 'running' }).toArray()
      if (first === undefined || (progress && first.progress === null)) return undefined
      // A claim holds the default lease until the first heartbeat, which sets the task's own.
      return Number(first.lease_until) - Number(first.heartbeat_at) > first.lease_ms ? undefined : first
    })
    return { hub, task, runner: (task as unknown as { runner: { pid: number } }).runner.pid }
  }

  it('finds the best model, deletes what an earlier run left, and says when a model is not good enough', async () => {
    const folder = await newFolder()
    const first = start('main.ts', '--url', folder, ...TINY)
    await first.exits(0)
    expect(first.output).toMatch(/64-64 +finished +1 /)
    expect(first.output).toMatch(/Loaded the best model from the hub in .*: (64-64|48-48), test accuracy 0\.\d{4}/)
    expect(first.output).toContain('● All done')

    const second = start('main.ts', '--url', folder, ...TINY.slice(0, -1), '0.999')
    await second.exits(1)
    expect(second.output).toMatch(/✗ 64-64 has a test accuracy of 0\.\d+; more than 0\.999 is expected/)
    expect(second.output).toContain('not as it should be')
    const hub = await openHub(folder)
    hubs.push(hub)
    const counts = [hub.datasets, hub.models, hub.logs, hub.tasks].map((namespace) => namespace.count({}))
    expect(await Promise.all(counts)).toEqual([1, 2, 6, 2])
  })

  it('comes through when a runner is killed: its task runs again', async () => {
    const folder = await newFolder()
    const program = start('main.ts', '--url', folder, ...TINY)
    const { hub, task, runner } = await atWork(program, folder, { progress: false })
    process.kill(runner, 'SIGKILL')
    await program.exits(0)
    expect(program.output).toContain(`Runner ${runner} ended with SIGKILL.`)
    const again = (await hub.tasks.find({ _id: task._id }).toArray())[0]
    expect(again).toMatchObject({ status: 'finished', attempts: 2 })
    expect((again as unknown as { runner: { pid: number } }).runner.pid).not.toBe(runner)
  })

  it('gives up when no runner is left', async () => {
    const program = start('main.ts', '--url', await newFolder(), ...LONG)
    await until('runners', async () => (program.output.includes('● Started') ? true : undefined))
    const pids = /\(processes (\d+), (\d+)\)/.exec(program.output)?.slice(1).map(Number) ?? []
    expect(pids).toHaveLength(2)
    for (const pid of pids) process.kill(pid, 'SIGKILL')
    await program.exits(1)
    expect(program.output).toMatch(/No runner is left\. Runner \d+ ended with SIGKILL\.\n$/)
  })

  onLinux('ends with all of its processes on Ctrl-C, also when that comes twice', async () => {
    const folder = await newFolder()
    const program = start('main.ts', '--url', folder, ...LONG)
    const { hub, task } = await atWork(program, folder, { progress: true })
    const below = await descendants(program.pid)
    // Two runners, and below them the processes of their tasks.
    expect(below.length).toBeGreaterThan(2)
    program.interrupt()
    program.interrupt()
    await program.exits(130)
    expect(program.output).toContain('Stopped: SIGINT received.')
    expect(below.filter(isAlive)).toEqual([])
    // Given back, and no attempt counted.
    expect(await hub.tasks.find({ _id: task._id }).toArray()).toMatchObject([{ status: 'pending', attempts: 0 }])
  })

  onLinux('leaves no process when it is killed itself', async () => {
    const folder = await newFolder()
    const program = start('main.ts', '--url', folder, ...LONG)
    const { hub } = await atWork(program, folder, { progress: true })
    const below = await descendants(program.pid)
    process.kill(program.pid, 'SIGKILL')
    await until('the end of all processes', async () => (below.some(isAlive) ? undefined : true))
    expect(await hub.tasks.find({ task_name: TASK, status: 'running' }).toArray()).toEqual([])
  })

  it('ends with 1 when a task fails, and says why', async () => {
    const folder = await newFolder()
    const program = start('main.ts', '--url', folder, '--runners', '0', '--units', '8')
    await until('tasks', async () => (program.output.includes('● Waiting for runners') ? true : undefined))
    const hub = await openHub(folder)
    hubs.push(hub)
    await hub.deleteDatasets()
    const runner = start('runner.ts', '--url', folder)
    await program.exits(1)
    expect(program.output).toMatch(/✗ 8-8 is failed: .*The hub has no dataset 'mnist'/)
    await until('the line of the runner', async () =>
      /8-8 failed .*no dataset/.test(runner.output) ? true : undefined,
    )
    process.kill(runner.pid, 'SIGTERM')
    await runner.exits(0)
  })

  it('ends with 1 when its hub cannot be reached, and says so in one line, as its runners do', async () => {
    for (const file of ['main.ts', 'runner.ts']) {
      const program = start(file, '--url', 'mongodb://127.0.0.1:1/hub?timeout=1000')
      await program.exits(1)
      expect(program.output).toMatch(/^UNAVAILABLE: MongoDB at 127\.0\.0\.1:1\/hub cannot be reached.*\n$/)
    }
  })

  it('explains its arguments, and ends with 2 for those that it does not know', async () => {
    const cases = [
      [['--help'], 0, 'npm run demo'],
      [['--quik'], 2, "Unknown option '--quik'"],
      [['--rows', '60000'], 2, '--rows takes whole numbers from 1 to 50000'],
      [['--units', '800,,400'], 2, "--units takes whole numbers from 1 to 10000, not ''"],
      [['--bar', '95'], 2, '--bar takes a number from 0 to 1'],
      [['--url', 'memory:'], 2, 'no runner reaches'],
    ] as const
    await Promise.all(
      cases.map(async ([args, code, said]) => {
        const program = start('main.ts', ...args)
        await program.exits(code)
        expect(program.output).toContain(said)
        expect(program.output).toContain('--quick')
      }),
    )
  })
})
