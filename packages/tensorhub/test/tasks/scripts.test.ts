import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { HubError } from '@tensorhub/core'
import { describe, expect, it } from 'vitest'
import type { Task } from '../../src/tasks/task.ts'
import { sameHub, temporaryHub } from '../temporary-hub.ts'
import { script, scriptFolder } from './script-folder.ts'

describe('a script', { timeout: 60_000 }, () => {
  it('whose default export returns the results', async () => {
    const hub = await temporaryHub()
    const path = await script(
      'export default (task) => ({ double: task.hyperParameters.x * 2, name: task.name, attempt: task.attempt, nan: NaN, at: new Date(5) })',
    )
    await hub.createTask('t', path, { hyperParameters: { x: 21 }, note: 'tag' })
    const outcome = await hub.runTopTask('t')
    expect(outcome).toMatchObject({
      status: 'finished',
      attempt: 1,
      result: { double: 42, name: 't', attempt: 1, at: new Date(5) },
    })
    const task = await hub.tasks.top({ note: 'tag' })
    expect(task).toMatchObject({
      status: 'finished',
      attempts: 1,
      epoch: 1,
      result: { double: 42 },
      error: null,
      lease_until: null,
    })
    expect(task?.result['nan']).toBeNaN()
    expect(await hub.runTopTask('t')).toBe(false)
    expect(existsSync(join(hub.folder, 'work'))).toBe(false)
  })

  it('whose named exports are the results, and that imports the task', async () => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script(
        "import { task } from 'tensorhub/task'\nexport const double = task.hyperParameters.x * 2\nexport const other = 'y'",
      ),
      { hyperParameters: { x: 4 }, savedResultKeys: ['double'] },
    )
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { double: 8 } })
    expect((await hub.tasks.top())?.result).toEqual({ double: 8 })
  })

  it("whose 'exit' listeners run when it has ended, and what they print is kept", async () => {
    const hub = await temporaryHub()
    const path = await script(`
      export default () => {
        console.log('a'.repeat(300_000))
        process.on('exit', (code) => console.log('left with ' + code + ' ' + 'b'.repeat(20_000) + ' last'))
        return { done: 1 }
      }`)
    await hub.createTask('t', path)
    let printed = ''
    expect(
      await hub.runTopTask('t', {
        onOutput: (text: string) => {
          printed += text
        },
      }),
    ).toMatchObject({ status: 'finished', result: { done: 1 } })
    expect(printed).toBe(`${'a'.repeat(300_000)}\nleft with 0 ${'b'.repeat(20_000)} last\n`)
  })

  it('in TypeScript, with static relative imports in folders, JSON and a literal dynamic import', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'main.ts': `
        import type { Nothing } from '../elsewhere/types.ts'
        import type { Task } from 'tensorhub/task'
        import { square } from './lib/math.ts'
        import data from './data.json' with { type: 'json' }
        export { square } from './lib/again.mts'
        export default async function (task: Task): Promise<{ y: number; z: number }> {
          const nothing: Nothing | undefined = undefined
          const { later } = await import('./later.mjs')
          return { y: square(task.hyperParameters['x'] as number) + data.plus, z: later }
        }`,
      'lib/math.ts': "import { two } from '../two.js'\nexport const square = (x: number): number => x ** two",
      'lib/again.mts': "export { square } from './math.ts'",
      'two.js': 'export const two = 2',
      'later.mjs': 'export const later = 7',
      'data.json': '{"plus":1}',
      'unused.ts': 'export {}',
    })
    const record = await hub.createTask('t', file('main.ts'), { hyperParameters: { x: 3 } })
    expect(record.script).toMatchObject({ entry: 'main.ts', lang: 'typescript' })
    expect((record.script.files as readonly { path: string }[]).map((f) => f.path).sort()).toEqual([
      'data.json',
      'later.mjs',
      'lib/again.mts',
      'lib/math.ts',
      'main.ts',
      'two.js',
    ])
    const outcome = await hub.runTopTask('t')
    expect(outcome).toMatchObject({ status: 'finished', result: { y: 10, z: 7 } })
  })

  it('reaches the hub of its project, and its documents carry the task', async () => {
    const hub = await temporaryHub()
    await hub.saveDataset(new Float32Array([1, 2, 3]), 'mnist')
    const path = await script(
      "export default async ({ hub }) => { const [a, b, c] = await hub.findTopDataset('mnist'); await hub.saveModel({ w: new Float32Array([a + b + c]) }, 'mlp', { accuracy: 0.9 }); await hub.saveTrainingLog({ loss: 1 }); return { project: hub.projectName } }",
    )
    const task = await hub.createTask('t', path)
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { project: 'tutorial' } })
    expect(await hub.findTopModel('mlp')).toEqual({ w: new Float32Array([6]) })
    for (const record of [await hub.models.top(), await hub.logs.top()])
      expect(record?.['task']).toEqual({ id: task._id, epoch: 1 })
  })

  it('has no default hub: it would lie in the folder that goes with it', async () => {
    const hub = await temporaryHub()
    const path = await script(`
      import { TensorHub } from 'tensorhub'
      export default async () => { await using hub = await TensorHub.connect(); await hub.logs.save('x') }`)
    await hub.createTask('t', path, { maxAttempts: 1 })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'failed',
      error: { code: 'SCRIPT_ERROR', message: expect.stringContaining('use task.hub') },
    })
  })

  it('cancels and deletes tasks as the first it does with its hub', async () => {
    const hub = await temporaryHub()
    for (const what of ['cancel', 'delete', 'requeue'])
      await hub.createTask(what, await script(`export default ({ hub }) => hub.tasks.${what}({ task_name: 'other' })`))
    await hub.createTask('other', await script('export default () => ({})'))
    expect(await hub.runTopTask('cancel')).toMatchObject({ status: 'finished', result: { documents: 1 } })
    expect(await hub.runTopTask('requeue')).toMatchObject({ status: 'finished', result: { documents: 1 } })
    expect(await hub.runTopTask('delete')).toMatchObject({ status: 'finished', result: { documents: 1 } })
  })

  it('that lacks a result fails, naming the key, and keeps the rest', async () => {
    const hub = await temporaryHub()
    await hub.createTask('t', await script('export default () => ({ a: 1 })'), {
      savedResultKeys: ['a', 'test_accuracy'],
      maxAttempts: 1,
    })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'failed',
      result: { a: 1 },
      error: { code: 'RESULT_MISSING', message: expect.stringContaining("'test_accuracy'") },
    })
    expect(await hub.tasks.top()).toMatchObject({ status: 'failed', result: { a: 1 } })
  })

  it('that throws is tried again with backoff, then fails with text and stack', async () => {
    const hub = await temporaryHub()
    const path = await script(
      "export default function train () { console.log('before'); throw new RangeError('bad learning rate') }",
    )
    await hub.createTask('t', path, { maxAttempts: 2 })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'retrying',
      attempt: 1,
      error: { message: 'RangeError: bad learning rate' },
    })
    const waiting = await hub.tasks.top()
    expect(waiting).toMatchObject({ status: 'pending', attempts: 1, claim: null })
    expect(Number(waiting?.not_before)).toBeGreaterThan(Number(waiting?.['started_at']))
    expect(await hub.runTopTask('t')).toBe(false)
    expect(await hub.checkUnfinishedTask('t')).toBe(true)
    let outcome = await hub.runTopTask('t')
    while (outcome === false) outcome = await hub.runTopTask('t')
    expect(outcome).toMatchObject({ status: 'failed', attempt: 2 })
    const failed = await hub.tasks.top()
    expect(failed).toMatchObject({
      status: 'failed',
      error: { code: 'SCRIPT_ERROR', stack: expect.stringContaining('train') },
      output: expect.stringContaining('before'),
    })
    expect(failed?.['history']).toHaveLength(2)
    expect(await hub.checkUnfinishedTask('t')).toBe(false)
  })

  it.each([
    ['process.exit(3)', 'SCRIPT_EXIT', 'code 3'],
    ["process.kill(process.pid, 'SIGKILL')", 'INFRA', 'SIGKILL'],
    [
      "(await import('node:fs')).writeSync(3, 'garbage\\n'); await new Promise(() => setInterval(() => {}, 1000))",
      'SCRIPT_ERROR',
      'descriptor 3',
    ],
    [
      '(await import(\'node:fs\')).writeSync(3, \'{"kind":"result"}\\n\'); await new Promise(() => setInterval(() => {}, 1000))',
      'SCRIPT_ERROR',
      'descriptor 3',
    ],
    [
      "Promise.reject(new Error('nobody listens')); await new Promise(() => setInterval(() => {}, 1000))",
      'SCRIPT_ERROR',
      'nobody listens',
    ],
    ['await new Promise(() => {})', 'SCRIPT_EXIT', 'waits for a promise'],
    ['throw { status: 503 }', 'SCRIPT_ERROR', '{ status: 503 }'],
    ['const {', 'SCRIPT_ERROR', 'SyntaxError'],
    ["await import('a-package-that-is-not-there')", 'SCRIPT_ERROR', 'a-package-that-is-not-there'],
  ])('that ends badly (%s) is an outcome, and the runner lives', async (text, code, message) => {
    const hub = await temporaryHub()
    const path = await script(
      text === 'const {' ? 'export default () => new Function("const {")()' : `export default async () => { ${text} }`,
    )
    await hub.createTask('t', path, { maxAttempts: 1 })
    expect(await hub.runTopTask('t')).toMatchObject({
      status: 'failed',
      error: { code, message: expect.stringContaining(message) },
    })
  })

  it('that leaves a process with its pipes open outside its group does not hold the runner', async () => {
    const hub = await temporaryHub()
    const path = await script(`
      import { spawn } from 'node:child_process'
      export default () => { const far = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'], { detached: true, stdio: ['ignore', 'inherit', 'inherit'] }); far.unref(); return { pid: far.pid } }`)
    await hub.createTask('t', path)
    const outcome = await hub.runTopTask('t')
    if (outcome === false || outcome.result === undefined) throw new Error('the task did not run')
    expect(outcome.status).toBe('finished')
    process.kill(outcome.result['pid'] as number, 'SIGKILL')
  })

  it('sees no environment but the allowed, and its parameters neither there nor in the arguments', async () => {
    const hub = await temporaryHub()
    process.env['A_SECRET_OF_THE_RUNNER'] = 'secret'
    await hub.createTask(
      't',
      await script('export default () => ({ text: JSON.stringify([process.env, process.argv, process.execArgv]) })'),
      { hyperParameters: { token: 'do-not-show' } },
    )
    const outcome = await hub.runTopTask('t')
    delete process.env['A_SECRET_OF_THE_RUNNER']
    const text = outcome && (outcome.result?.['text'] as string)
    expect(text).toContain('PATH')
    expect(text).not.toMatch(/A_SECRET|do-not-show/)
  })

  it('whose output is passed on as it comes, whole characters at a time', async () => {
    const hub = await temporaryHub()
    const path = await script(`
      export default async (task) => {
        const bytes = Buffer.from('näïve ✓')
        for (const byte of bytes) await new Promise((done) => process.stdout.write(Buffer.from([byte]), () => setTimeout(done, 5)))
        task.log('', { epoch: 1 }, 'done')
      }`)
    await hub.createTask('t', path)
    const pieces: string[] = []
    expect(await hub.runTopTask('t', { onOutput: (text: string) => pieces.push(text) })).toMatchObject({
      status: 'finished',
    })
    expect(pieces.join('')).toBe('näïve ✓ { epoch: 1 } done\n')
    expect(pieces.length).toBeGreaterThan(1)
    expect((await hub.tasks.top())?.['output']).toBe('näïve ✓ { epoch: 1 } done\n')
  })

  it('whose output makes the callback throw is ended and given back, uncounted; the call throws it', async () => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script("console.log('a'); export default () => new Promise((r) => setTimeout(r, 1e9))"),
    )
    const mine = new HubError('INVALID', 'mine', { at: { scheme: 'test', op: 'onOutput' } })
    const onOutput = () => {
      throw mine
    }
    expect(await hub.runTopTask('t', { onOutput }).catch((error) => error)).toBe(mine)
    expect(await hub.tasks.top()).toMatchObject({ status: 'pending', attempts: 0, infra_failures: 0, claim: null })
    const handlers = { t: ({ log }: Task) => log('b') }
    expect(await hub.runTopTask('t', { onOutput, scripts: { handlers } }).catch((error) => error)).toBe(mine)
    expect(await hub.tasks.top()).toMatchObject({ status: 'pending', attempts: 0, infra_failures: 0, claim: null })
  })

  it('is given back, uncounted, when its hub closes', async () => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script(
        "console.log('begun'); export default ({ signal }) => new Promise((_, fail) => signal.addEventListener('abort', () => fail(signal.reason)))",
      ),
    )
    const begun = Promise.withResolvers<void>()
    const run = hub.runTopTask('t', { onOutput: () => begun.resolve() })
    await begun.promise
    await hub.close()
    expect(await run).toMatchObject({ status: 'retrying', error: { code: 'RELEASED' } })
    const again = await sameHub(hub.folder)
    expect(await again.tasks.top()).toMatchObject({ status: 'pending', attempts: 0, claim: null })
    await expect(hub.runTopTask('t')).rejects.toMatchObject({ code: 'CLOSED' })
  })

  it('that floods its output is bounded, counted, and does not block', async () => {
    const hub = await temporaryHub()
    const path = await script(
      "export default async () => { process.stdout.write('BEGIN'); const b = Buffer.alloc(1 << 20, 0xc3); for (let i = 0; i < 100; i++) await new Promise((r) => process.stdout.write(b, r)); process.stdout.write('END'); return {} }",
    )
    await hub.createTask('t', path)
    const before = process.memoryUsage().rss
    const outcome = await hub.runTopTask('t')
    expect(outcome).toMatchObject({ status: 'finished' })
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 2 ** 20)
    const output = (await hub.tasks.top())?.['output'] as string
    expect(output.startsWith('BEGIN')).toBe(true)
    expect(output.endsWith('END')).toBe(true)
    expect(output).toMatch(/\d{8,} bytes left out/)
    expect(output.length).toBeLessThan(2 ** 20)
  })
})

describe('createTask refuses', { timeout: 60_000 }, () => {
  it('what it cannot take, by name', async () => {
    const hub = await temporaryHub()
    const file = await scriptFolder({
      'in/ok.mjs': 'export default () => ({})',
      'in/out.mjs': "import '../far.mjs'",
      'in/absolute.mjs': "import '/etc/far.mjs'",
      'in/gone.mjs': "import './gone-too.mjs'",
      'in/syntax.mjs': 'import {',
      'in/old.cjs': 'module.exports = {}',
      'far.mjs': '',
    })
    const path = file('in/ok.mjs')
    await expect(hub.createTask('t', file('in/missing.mjs'))).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('missing.mjs'),
    })
    await expect(hub.createTask('t', file('in'))).rejects.toMatchObject({ code: 'INVALID' })
    for (const [name, part] of [
      ['out', '../far.mjs'],
      ['absolute', '/etc/far.mjs'],
      ['gone', './gone-too.mjs'],
      ['syntax', 'syntax.mjs'],
    ] as const) {
      await expect(hub.createTask('t', file(`in/${name}.mjs`)), name).rejects.toMatchObject({
        code: 'INVALID',
        message: expect.stringContaining(part),
      })
    }
    await expect(hub.createTask('t', file('in/old.cjs'))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('.mjs'),
    })
    for (const option of ['requires', 'dependsOn', 'timeout'])
      await expect(hub.createTask('t', path, { [option]: 1 })).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        path: option,
      })
    for (const tag of ['status', 'epoch', 'claim', 'result', 'started_at', 'time'])
      await expect(hub.createTask('t', path, { [tag]: 1 }), tag).rejects.toMatchObject({ code: 'INVALID', path: tag })
    for (const [option, value] of [
      ['priority', 0.5],
      ['maxAttempts', 0],
      ['lease', '10 parsecs'],
      ['lease', 10],
      ['notBefore', 'soon'],
      ['savedResultKeys', 'x'],
      ['hyperParameters', []],
      ['idempotencyKey', ''],
    ] as const) {
      await expect(hub.createTask('t', path, { [option]: value }), option).rejects.toMatchObject({
        code: 'INVALID',
        path: option,
      })
    }
    await expect(hub.createTask('', path)).rejects.toMatchObject({ code: 'INVALID', path: 'taskName' })
    expect(await hub.tasks.count()).toBe(0)
  })

  it('arguments of another form', async () => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({})')
    const create = hub.createTask.bind(hub) as (...args: unknown[]) => Promise<unknown>
    for (const [args, message] of [
      [['t', path, { taskName: 'u' }], /'taskName' is given twice/],
      [['t', path, { script: path }], /'script' is given twice/],
      [['t', path, {}, {}], /4 arguments are too many/],
      [[{ taskName: 't', script: path }, {}], /2 arguments are too many/],
      [['t', path, 5], /plain object/],
      [['t'], /'script': the path/],
      [['t', path, { maxAtempts: 5 }], undefined],
    ] as const) {
      if (message === undefined) expect(await create(...args)).toMatchObject({ maxAtempts: 5, max_attempts: 3 })
      else
        await expect(create(...args), String(message)).rejects.toMatchObject({
          code: 'INVALID',
          message: expect.stringMatching(message),
        })
    }
    expect(await create({ taskName: 'u', script: path, note: 'x' })).toMatchObject({ task_name: 'u', note: 'x' })
    expect(await create('u', path, JSON.parse('{"__proto__": {"status": "x"}}')).catch((error) => error.code)).toBe(
      'INVALID',
    )
  })

  it('a second task for the same idempotency key, and gives the first', async () => {
    const hub = await temporaryHub()
    const path = await script('export default () => ({})')
    const [a, b] = await Promise.all([1, 2].map(() => hub.createTask('t', path, { idempotencyKey: 'once' })))
    expect(a?._id).toBe(b?._id)
    expect(await hub.tasks.count()).toBe(1)
  })
})
