import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { temporaryHub } from '../temporary-hub.ts'
import { isAlive, startRunner } from './runner.ts'
import { script } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

describe('runners as processes', { timeout: 180_000 }, () => {
  it.each([2, 8])('%i race for no-op tasks: each is run once', async (runners) => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({})')
    await Promise.all(Array.from({ length: 100 }, (_, n) => hub.createTask('t', path, { hyperParameters: { n } })))
    const all = Array.from({ length: runners }, () => startRunner(hub.folder, 'idle', 'handlers'))
    expect(await Promise.all(all.map((runner) => runner.end))).toEqual(all.map(() => 0))
    const ids = all.flatMap((runner) => runner.lines.map((line) => line.id))
    expect([ids.length, new Set(ids).size]).toEqual([100, 100])
    expect(await hub.tasks.count({ status: 'finished', attempts: 1, epoch: 1 })).toBe(100)
    for (const task of await hub.tasks.find().toArray()) expect(task.result['n']).toBe(task.hyper_parameters['n'])
  })

  it('F2: SIGKILL of random runners loses and doubles nothing', async () => {
    const hub = await temporaryHub()
    const path = await script(
      'export default async ({ attempt }) => { await new Promise((r) => setTimeout(r, 150)); return { attempt } }',
    )
    const count = 10
    await Promise.all(Array.from({ length: count }, () => hub.createTask('t', path, { lease: 1000, maxAttempts: 50 })))
    const runners = [startRunner(hub.folder, 'never'), startRunner(hub.folder, 'never')]
    for (let kills = 0; kills < 4; kills++) {
      // A claim holds 60 s until its first heartbeat sets the task's own lease: killed before that, this test would take as long.
      await waitUntil(
        async () =>
          (await hub.tasks.find({ status: 'running' }).toArray()).some(
            (task) => Number(task.lease_until) - Number(task.heartbeat_at) <= 1000,
          ),
        'a running task',
      )
      const victim = kills % 2
      runners[victim]?.process.kill('SIGKILL')
      expect(await runners[victim]?.end).toBe('SIGKILL')
      runners[victim] = startRunner(hub.folder, 'never')
    }
    const outcome = await hub.tasks.wait({}, { timeout: '100s' })
    expect(outcome).toMatchObject({ ok: true, finished: count })
    for (const task of outcome.tasks) expect(task.result['attempt']).toBe(task.attempts)
  })

  it('a SIGKILLed runner takes a spinning script with it, and the task runs again by itself', async () => {
    const hub = await temporaryHub()
    const path = await script(
      "import { writeFileSync } from 'node:fs'\nexport default ({ attempt, hyperParameters }) => { if (attempt > 1) return { attempt }; writeFileSync(hyperParameters.pid, String(process.pid)); for (;;); }",
    )
    const pidFile = join(hub.folder, 'work', 'pid')
    await hub.createTask('t', path, { lease: 1000, hyperParameters: { pid: pidFile } })
    const runner = startRunner(hub.folder, 'never')
    await waitUntil(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '', 'the script')
    const child = Number(readFileSync(pidFile, 'utf8'))
    expect(isAlive(child)).toBe(true)
    runner.process.kill('SIGKILL')
    await waitUntil(() => !isAlive(child), 'the end of the script')
    await waitUntil(() => hub.runTopTask('t'), 'the second attempt')
    expect(await hub.tasks.top()).toMatchObject({
      status: 'finished',
      attempts: 2,
      infra_failures: 1,
      result: { attempt: 2 },
    })
  })

  it('F3: a runner that was suspended beyond its lease cannot commit', async () => {
    const hub = await temporaryHub()
    const path = await script(
      "import { writeFileSync } from 'node:fs'\nexport default async ({ attempt, hyperParameters }) => { if (attempt === 1) { writeFileSync(hyperParameters.pid, 'begun'); await new Promise((r) => setTimeout(r, 1500)) } return { attempt } }",
    )
    const mark = join(hub.folder, 'work', 'mark')
    await hub.createTask('t', path, { lease: 1000, hyperParameters: { pid: mark } })
    const zombie = startRunner(hub.folder, 'never')
    await waitUntil(() => existsSync(mark), 'the script')
    zombie.process.kill('SIGSTOP')
    await waitUntil(() => hub.runTopTask('t'), 'the second attempt')
    zombie.process.kill('SIGCONT')
    await waitUntil(() => zombie.lines.length > 0, 'the word of the first runner')
    expect(zombie.lines[0]).toMatchObject({ status: 'lost', attempt: 1 })
    expect(await hub.tasks.top()).toMatchObject({ status: 'finished', attempts: 2, result: { attempt: 2 } })
  })

  it('F5: a task that kills its runner fails after exactly its attempts', async () => {
    const hub = await temporaryHub()
    const poison = await hub.createTask(
      't',
      await script("export default () => { process.kill(process.ppid, 'SIGKILL'); for (;;); }"),
      { lease: 1000, maxAttempts: 2 },
    )
    for (let deaths = 0; deaths < 2; deaths++) expect(await startRunner(hub.folder, 'idle').end).toBe('SIGKILL')
    await waitUntil(async () => !(await hub.checkUnfinishedTask('t')), 'the failure')
    expect(await hub.tasks.top({ _id: poison._id })).toMatchObject({
      status: 'failed',
      attempts: 2,
      infra_failures: 2,
      error: { code: 'LEASE_EXPIRED' },
    })
    expect(await startRunner(hub.folder, 'idle').end).toBe(0)
  })
})
