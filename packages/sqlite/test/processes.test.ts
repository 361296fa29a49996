import { execFileSync, spawn } from 'node:child_process'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { collect, fill, keys, openFile, temporaryFolder, where } from './temporary-index.ts'

const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))
const LONG = 120_000

/** Starts a child; `lines` fills as it prints, `ended` resolves with its exit. */
function start(file: string, mode: string, name: string, fileLimit?: number) {
  const command = [process.execPath, '--disable-warning=ExperimentalWarning', CHILD, file, mode, name]
  const limited =
    fileLimit === undefined ? command : ['sh', '-c', `ulimit -f ${fileLimit}; exec "$@"`, 'sh', ...command]
  const child = spawn(limited[0] as string, limited.slice(1), { stdio: ['ignore', 'pipe', 'pipe'] })
  let out = ''
  let errors = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
  const ended = new Promise<{ code: number | null; errors: string }>((resolve) =>
    child.on('close', (code) => resolve({ code, errors })),
  )
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await ended
  })
  // The last line may be cut by a kill.
  return { child, ended, lines: () => out.split('\n').slice(0, -1) }
}

function integrity(file: string): unknown {
  const database = new DatabaseSync(file)
  try {
    return database.prepare('PRAGMA integrity_check').get()?.['integrity_check']
  } finally {
    database.close()
  }
}

describe('processes', () => {
  it(
    'SIGKILL at any time loses no acknowledged write',
    async () => {
      const file = join(await temporaryFolder(), 'index.db')
      const acknowledged: string[] = []
      for (let round = 0; round < 12; round++) {
        const one = start(file, 'insert', `a${round}`)
        const two = start(file, 'insert', `b${round}`)
        await expect
          .poll(() => Math.min(one.lines().length, two.lines().length), { timeout: LONG, interval: 1 })
          .toBeGreaterThan(5 + ((round * 37) % 90))
        one.child.kill('SIGKILL')
        two.child.kill('SIGKILL')
        await Promise.all([one.ended, two.ended])
        acknowledged.push(...one.lines(), ...two.lines())
      }
      expect(integrity(file)).toBe('ok')
      const present = new Set((await collect(openFile(file).find('c', where({})))).map((doc) => doc._id))
      expect(acknowledged.length).toBeGreaterThan(100)
      expect(acknowledged.filter((id) => !present.has(id))).toEqual([])
    },
    LONG,
  )

  it(
    'processes that take from one queue take each document once',
    async () => {
      const file = join(await temporaryFolder(), 'index.db')
      const store = openFile(file)
      await store.ensureIndex('tasks', [...keys('status'), { path: ['priority'], dir: -1 }, ...keys('_id')])
      await fill(store, 'tasks', 300, (i) => ({ status: 'pending', priority: i % 3, attempts: 0 }))
      const runners = ['a', 'b', 'c'].map((name) => start(file, 'take', name))
      for (const { ended } of runners) expect(await ended).toMatchObject({ code: 0 })
      const taken = runners.flatMap((runner) => runner.lines())
      expect(taken.length).toBe(300)
      expect(new Set(taken).size).toBe(300)
      expect(await store.count('tasks', where({ status: 'running', attempts: 1 }))).toBe(300)
    },
    LONG,
  )

  it(
    'several processes may create the file at once',
    async () => {
      const folder = await temporaryFolder()
      for (let round = 0; round < 4; round++) {
        const file = join(folder, `new${round}.db`)
        const runners = ['a', 'b', 'c', 'd'].map((name) => start(file, 'take', name))
        for (const { ended } of runners) expect(await ended).toEqual({ code: 0, errors: '' })
        expect(integrity(file)).toBe('ok')
      }
    },
    LONG,
  )

  it.skipIf(process.platform === 'win32')(
    'a write that the disk refuses is an error; what was acknowledged is there, and the file whole',
    async () => {
      const file = join(await temporaryFolder(), 'index.db')
      // Beyond this size the system refuses every write with EFBIG, which is to SQLite an I/O error like any other.
      const writer = start(file, 'insert', 'w', 1000)
      expect((await writer.ended).errors).toBe('')
      const lines = writer.lines()
      expect(lines.at(-1)).toBe('error UNKNOWN')
      const acknowledged = lines.filter((line) => !line.startsWith('error'))
      expect(acknowledged.length).toBeGreaterThan(50)
      const store = openFile(file)
      const present = new Set((await collect(store.find('c', where({})))).map((doc) => doc._id))
      expect(acknowledged.filter((id) => !present.has(id))).toEqual([])
      await store.insert('c', [{ _id: 'after' }])
      await store.close()
      expect(integrity(file)).toBe('ok')
    },
    LONG,
  )

  it(
    'a full disk is STORAGE_FULL; what was acknowledged is there',
    async (context) => {
      const folder = join(await temporaryFolder(), 'small')
      await mkdir(folder)
      try {
        execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder], { stdio: 'pipe' })
      } catch (error) {
        // Needs root. CI sets TENSORHUB_REQUIRE_TMPFS, and is red rather than silent.
        if (process.env['TENSORHUB_REQUIRE_TMPFS']) throw error
        return context.skip(`a small tmpfs cannot be mounted here: ${String(error)}`)
      }
      onTestFinished(() => {
        execFileSync('umount', ['-l', folder])
      })
      const file = join(folder, 'index.db')
      const writer = start(file, 'insert', 'w')
      expect((await writer.ended).errors).toBe('')
      const lines = writer.lines()
      expect(lines.at(-1)).toBe('error STORAGE_FULL')
      const acknowledged = lines.filter((line) => !line.startsWith('error'))
      expect(acknowledged.length).toBeGreaterThan(50)
      // Space again: the file is as it was acknowledged, and takes more.
      execFileSync('mount', ['-o', 'remount,size=16m', folder])
      const store = openFile(file)
      const present = new Set((await collect(store.find('c', where({})))).map((doc) => doc._id))
      expect(acknowledged.filter((id) => !present.has(id))).toEqual([])
      await store.insert('c', [{ _id: 'after' }])
      await store.close()
      expect(integrity(file)).toBe('ok')
    },
    LONG,
  )
})
