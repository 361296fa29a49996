import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { serverSuite } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import type { TaskRecord } from '../../src/tasks/document.ts'
import { BOUND, FULL } from '../faults/scale.ts'
import { temporaryFolder } from '../temporary-hub.ts'
import { judge, type Killed, readStarts, startingScript, type Told } from './history.ts'
import { type Runner, startRunner } from './runner.ts'
import { script } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

const RUNNERS = 8
const LEASE = 1000

await serverSuite('mongodb', `F1 and F2 on MongoDB: ${RUNNERS} runner processes`, () => {
  let server: MongoServer
  beforeAll(async () => {
    server = await startMongo()
  })
  afterAll(() => server.stop())

  /** An empty hub, its URL, and where the history of its tasks is written. */
  async function newHub() {
    const url = server.urlOf(`tasks_${randomBytes(5).toString('hex')}`)
    const folder = await temporaryFolder()
    const hub = await TensorHub.connect(url, { projectName: 'tutorial', workDir: join(folder, 'work') })
    return { hub, url, folder, starts: join(folder, 'starts') }
  }

  async function createTasks(hub: TensorHub, path: string, count: number, starts: string, options: object = {}) {
    const create = (n: number) => hub.createTask('t', path, { ...options, hyperParameters: { n, starts } })
    // Not all at once: a server that sorts by scanning answers each the slower, the more ask.
    for (let n = 0; n < count; n += 25)
      await Promise.all(Array.from({ length: Math.min(25, count - n) }, (_, i) => create(n + i)))
  }

  it('F1: they race for no-op tasks: each is started and committed once', { timeout: BOUND }, async () => {
    for (let race = 0; race < (FULL ? 10 : 1); race++) {
      const { hub, url, folder, starts } = await newHub()
      await using _ = hub
      const count = FULL ? 1000 : 200
      const runners = Array.from({ length: RUNNERS }, () => startRunner(url, 'never', 'handlers', join(folder, 'work')))
      await Promise.all(runners.map((runner) => runner.ready))
      // The tasks come when all runners are there, so that they race.
      await createTasks(hub, await script('export default () => ({})'), count, starts)
      const begun = performance.now() - (Date.now() - (readStarts(starts)[0]?.at ?? Date.now()))
      await waitUntil(async () => (await hub.tasks.count({ status: 'finished' })) === count, 'all tasks', BOUND)
      const seconds = (performance.now() - begun) / 1000
      for (const { process } of runners) process.kill('SIGTERM')
      expect(await Promise.all(runners.map((runner) => runner.end))).toEqual(runners.map(() => 0))
      const tasks = await hub.tasks.find().toArray()
      const verdict = judge({ starts: readStarts(starts), told: runners.flatMap((runner) => runner.lines), tasks })
      console.log(
        `F1 MongoDB, ${RUNNERS} runners: ${count} tasks, ${verdict.commits} commits, ${verdict.doubles} doubles, ${Math.round(count / seconds)} tasks/s`,
      )
      expect(verdict).toEqual({
        ...{ tasks: count, starts: count, commits: count, doubles: 0, stuck: 0, claimedAgain: [], dropped: 0 },
      })
      expect(runners.flatMap((runner) => runner.lines)).toHaveLength(count)
      expect(await hub.tasks.count({ status: 'finished', attempts: 1, epoch: 1 })).toBe(count)
      for (const task of tasks) expect(task.result['n']).toBe(task.hyper_parameters['n'])
    }
  })

  it('F2: SIGKILL of random ones in the middle of a task loses and doubles nothing', { timeout: BOUND }, async () => {
    const { hub, url, folder, starts } = await newHub()
    await using _ = hub
    const [count, most] = FULL ? [1000, 100] : [60, 6]
    const seed = Math.floor(Math.random() * 2 ** 32)
    let state = seed
    const random = (below: number) => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return Math.floor((state / 2 ** 32) * below)
    }
    await createTasks(hub, await script(startingScript(400)), count, starts, {
      lease: LEASE,
      maxAttempts: 50,
    })
    const start = () => startRunner(url, 'never', 'any', join(folder, 'work'))
    const runners = Array.from({ length: RUNNERS }, start)
    const all: Runner[] = [...runners]
    const kills: Killed[] = []
    // In the middle of the script; earlier, between a claim and its first heartbeat, a task is held for 60 s, not for its own lease.
    const isBusy = (runner: Runner) => {
      const ends = new Set(runner.lines.map(({ id, attempt }) => `${id} ${attempt}`))
      return readStarts(starts).some(
        ({ task, attempt, runner: pid }) => pid === runner.process.pid && !ends.has(`${task} ${attempt}`),
      )
    }
    while (kills.length < most) {
      // Whoever is at work, drawn anew each time: a certain one may find nothing left to do.
      const busy = await waitUntil(
        async () => {
          const some = runners.flatMap((runner, i) => (isBusy(runner) ? [i] : []))
          return some.length > 0 || !(await hub.checkUnfinishedTask('t')) ? { some } : undefined
        },
        'a runner at work',
        BOUND,
      )
      const victim = busy.some[random(Math.max(1, busy.some.length))]
      if (victim === undefined) break
      const { pid } = (runners[victim] as Runner).process
      runners[victim]?.process.kill('SIGKILL')
      const at = Date.now()
      expect(await runners[victim]?.end).toBe('SIGKILL')
      const held = await heldBy(hub, pid as number)
      kills.push({
        runner: pid as number,
        at,
        held: held.map(({ _id, lease_until }) => ({ task: _id, until: Number(lease_until) })),
      })
      runners[victim] = start()
      all.push(runners[victim] as Runner)
    }
    const outcome = await hub.tasks.wait({}, { timeout: BOUND })
    const told: Told[] = all.flatMap((runner) => runner.lines)
    const tasks = await hub.tasks.find().toArray()
    const verdict = judge({ starts: readStarts(starts), told, tasks, kills })
    const after = verdict.claimedAgain.map((one) => one.after).sort((a, b) => a - b)
    const beyond = Math.max(...verdict.claimedAgain.map((one) => one.beyondLease))
    console.log(
      `F2 MongoDB, ${RUNNERS} runners, seed ${seed}: ${count} tasks, ${kills.length} kills, ${verdict.starts} starts, ${verdict.commits} commits, ` +
        `${verdict.doubles} doubles, ${verdict.stuck} stuck; ${after.length} tasks claimed again after ${after[after.length >> 1]} ms (median), ` +
        `${after.at(-1)} ms (most; at most ${beyond} ms after their leases)`,
    )
    expect(outcome).toMatchObject({ ok: true, finished: count })
    expect(verdict).toMatchObject({ commits: count, doubles: 0, stuck: 0, dropped: 0 })
    // All tasks may be done before the last kill.
    expect(kills.length).toBeGreaterThan(most / 3)
    expect(after.length).toBeGreaterThan(0)
    // Backoff (1 s, 2 s …), a reaper's round, the start of a process; how long a turn takes on this machine is in the figures above.
    expect(beyond).toBeLessThan(60_000)
  })
})

async function heldBy(hub: TensorHub, pid: number): Promise<TaskRecord[]> {
  const running = await hub.tasks.find({ status: 'running' }).toArray()
  return running.filter((task) => (task['runner'] as { pid?: number } | null)?.pid === pid)
}
