import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BOUND, FULL } from '../faults/scale.ts'
import { temporaryHub } from '../temporary-hub.ts'
import { isAlive, startRunner } from './runner.ts'
import { script } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

describe('runners as processes', { timeout: BOUND }, () => {
  it.each([2, 8])('F1: %i race for no-op tasks: each is run once', async (runners) => {
    for (let race = 0; race < (FULL ? 10 : 1); race++) {
      const hub = await temporaryHub()
      const path = await script('export default () => ({})')
      const count = FULL ? 1000 : 100
      await Promise.all(Array.from({ length: count }, (_, n) => hub.createTask('t', path, { hyperParameters: { n } })))
      const all = Array.from({ length: runners }, () => startRunner(hub.folder, 'idle', 'handlers'))
      expect(await Promise.all(all.map((runner) => runner.end))).toEqual(all.map(() => 0))
      const ids = all.flatMap((runner) => runner.lines.map((line) => line.id))
      expect([ids.length, new Set(ids).size]).toEqual([count, count])
      expect(await hub.tasks.count({ status: 'finished', attempts: 1, epoch: 1 })).toBe(count)
      for (const task of await hub.tasks.find().toArray()) expect(task.result['n']).toBe(task.hyper_parameters['n'])
    }
  })

  it('F2: SIGKILL of random runners loses and doubles nothing', async () => {
    const hub = await temporaryHub()
    const path = await script(
      'export default async ({ attempt }) => { await new Promise((r) => setTimeout(r, 150)); return { attempt } }',
    )
    const [count, most] = FULL ? [1000, 100] : [10, 4]
    await Promise.all(Array.from({ length: count }, () => hub.createTask('t', path, { lease: 1000, maxAttempts: 50 })))
    const runners = Array.from({ length: FULL ? 4 : 2 }, () => startRunner(hub.folder, 'never'))
    for (let kills = 0; kills < most; kills++) {
      // A claim holds 60 s until its first heartbeat sets the task's own lease: killed before that, this test would take as long.
      await waitUntil(
        async () =>
          (await hub.tasks.find({ status: 'running' }).toArray()).some(
            (task) => Number(task.lease_until) - Number(task.heartbeat_at) <= 1000,
          ),
        'a running task',
      )
      const victim = kills % runners.length
      runners[victim]?.process.kill('SIGKILL')
      expect(await runners[victim]?.end).toBe('SIGKILL')
      runners[victim] = startRunner(hub.folder, 'never')
    }
    const outcome = await hub.tasks.wait({}, { timeout: FULL ? '2h' : '150s' })
    expect(outcome).toMatchObject({ ok: true, finished: count })
    for (const task of outcome.tasks) expect(task.result['attempt']).toBe(task.attempts)
  })

  it('a SIGKILLed runner takes a spinning script with it, and the task runs again by itself', async () => {
    const hub = await temporaryHub()
    const path = await script(
      "import { writeFileSync } from 'node:fs'\nexport default ({ attempt, hyperParameters }) => { if (attempt > 1) return { attempt }; writeFileSync(hyperParameters.pid, String(process.pid)); for (;;); }",
    )
    const pidFile = join(hub.folder, 'work', 'pid')
    await hub.createTask('t', path, { lease: 3000, hyperParameters: { pid: pidFile } })
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
    await hub.createTask('t', path, { lease: 3000, hyperParameters: { pid: mark } })
    const zombie = startRunner(hub.folder, 'never')
    await waitUntil(() => existsSync(mark), 'the script')
    zombie.process.kill('SIGSTOP')
    await waitUntil(() => hub.runTopTask('t'), 'the second attempt')
    zombie.process.kill('SIGCONT')
    await waitUntil(() => zombie.lines.length > 0, 'the word of the first runner')
    expect(zombie.lines[0]).toMatchObject({ status: 'lost', attempt: 1 })
    expect(await hub.tasks.top()).toMatchObject({ status: 'finished', attempts: 2, result: { attempt: 2 } })
  })

  it('F5: a task that kills its runner fails after exactly its attempts, and the good ones beside it finish', async () => {
    const hub = await temporaryHub()
    const good = FULL ? 100 : 5
    const starts = join(hub.folder, 'starts')
    const poison = await hub.createTask(
      't',
      await script(`
        import { appendFileSync } from 'node:fs'
        export default ({ hyperParameters: { starts } }) => { appendFileSync(starts, 'x'); process.kill(process.ppid, 'SIGKILL'); for (;;); }`),
      { lease: 3000, maxAttempts: 2, priority: 1, hyperParameters: { starts } },
    )
    const path = await script('export default () => ({ fine: 1 })')
    for (let n = 0; n < good; n++) await hub.createTask('t', path)
    let deaths = 0
    // As a service manager would: a runner that dies is started again.
    for (;;) {
      const end = await startRunner(hub.folder, 'idle').end
      if (end === 0) break
      expect(end).toBe('SIGKILL')
      deaths++
    }
    expect(deaths).toBe(2)
    expect(readFileSync(starts, 'utf8')).toBe('xx')
    expect(await hub.tasks.top({ _id: poison._id })).toMatchObject({
      status: 'failed',
      attempts: 2,
      infra_failures: 2,
      error: { code: 'LEASE_EXPIRED' },
    })
    expect(await hub.tasks.count({ status: 'finished', attempts: 1 })).toBe(good)
  })

  it('F19: a script that floods its output costs its runner no memory, and what it leaves running costs no time', async () => {
    const hub = await temporaryHub()
    const quiet = await script("export default () => { console.log('x'.repeat(1 << 20)); return {} }")
    const mebibytes = FULL ? 1024 : 192
    const flood = await script(`
      import { spawn } from 'node:child_process'
      export default async () => {
        process.stdout.write('BEGIN')
        const piece = Buffer.alloc(1 << 20, 0xc3) // no newline, no valid UTF-8
        for (let i = 0; i < ${mebibytes}; i++) await new Promise((r) => (i % 2 ? process.stderr : process.stdout).write(piece, r))
        // Left its group, holds the pipes, and goes on writing after the script has ended.
        const far = spawn(process.execPath, ['-e', 'setInterval(() => process.stdout.write("late"), 10); setTimeout(() => process.exit(), 20000)'], { detached: true, stdio: ['ignore', 'inherit', 'inherit'] })
        far.unref()
        process.stdout.write('END')
        return { far: far.pid }
      }`)
    for (let n = 0; n < 3; n++) await hub.createTask('t', quiet)
    await hub.createTask('t', flood, { priority: -1 })
    const runner = startRunner(hub.folder, 'idle')
    expect(await runner.end).toBe(0)
    const [, , before, after] = runner.lines.map((line) => line.rss)
    expect(runner.lines.map((line) => line.status)).toEqual(Array(4).fill('finished'))
    const task = await hub.tasks.top({ priority: -1 })
    process.kill(task?.result['far'] as number, 'SIGKILL')
    const output = task?.['output'] as string
    expect(output.startsWith('BEGIN')).toBe(true)
    expect(output).toContain('END')
    expect(Number(/… (\d+) bytes left out …/.exec(output)?.[1])).toBeGreaterThan((mebibytes - 1) * 2 ** 20)
    expect(output.length).toBeLessThan(2 ** 20)
    expect((after as number) - (before as number)).toBeLessThan(32 * 2 ** 20)
  })

  it('F20: a runner that is told to end (SIGTERM) gives its task back uncounted, and the next has it at once', async () => {
    const hub = await temporaryHub()
    const times = FULL ? 50 : 3
    const path = await script(`
      import { writeFileSync } from 'node:fs'
      export default (task) => {
        writeFileSync(task.hyperParameters.mark, String(process.pid))
        return new Promise((_, fail) => task.signal.addEventListener('abort', () => fail(task.signal.reason)))
      }`)
    const mark = join(hub.folder, 'mark')
    await hub.createTask('t', path, { maxAttempts: 1, hyperParameters: { mark } })
    for (let n = 0; n < times; n++) {
      writeFileSync(mark, '')
      const runner = startRunner(hub.folder, 'never')
      await waitUntil(() => readFileSync(mark, 'utf8') !== '', 'the script')
      const child = Number(readFileSync(mark, 'utf8'))
      runner.process.kill('SIGTERM')
      expect(await runner.end).toBe(0)
      expect(isAlive(child)).toBe(false)
      expect(runner.lines).toMatchObject([{ status: 'retrying', attempt: 1 }])
      // Not waiting for a lease, nor for a backoff.
      expect(await hub.tasks.top()).toMatchObject({ status: 'pending', attempts: 0, claim: null, lease_until: null })
    }
    const handlers = { t: () => ({ done: 1 }) }
    expect(await hub.runTopTask('t', { scripts: { handlers } })).toMatchObject({ status: 'finished', attempt: 1 })
  })

  it('a script that ignores its signal and SIGTERM is killed, with what it started', async () => {
    const hub = await temporaryHub()
    const path = await script(`
      import { spawn } from 'node:child_process'
      import { writeFileSync } from 'node:fs'
      process.on('SIGTERM', () => {})
      export default ({ hyperParameters: { mark } }) => {
        const beside = spawn(process.execPath, ['-e', "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)"], { stdio: 'ignore' })
        writeFileSync(mark, JSON.stringify([process.pid, beside.pid]))
        return new Promise(() => setInterval(() => {}, 1000))
      }`)
    const mark = join(hub.folder, 'mark')
    await hub.createTask('t', path, { lease: 3000, hyperParameters: { mark } })
    const run = hub.runTopTask('t')
    await waitUntil(() => existsSync(mark) && readFileSync(mark, 'utf8').endsWith(']'), 'the script')
    const pids = JSON.parse(readFileSync(mark, 'utf8')) as number[]
    expect(pids.map(isAlive)).toEqual([true, true])
    await hub.tasks.cancel({ task_name: 't' })
    expect(await run).toMatchObject({ status: 'cancelled' })
    await waitUntil(() => !pids.some(isAlive), 'the end of both')
  })
})
