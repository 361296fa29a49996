import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const LOCK = fileURLToPath(new URL('../../tools/bootstrap/lock.cjs', import.meta.url))
const VICTIM = 'victim'

describe('the lock', { timeout: 240_000 }, () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tensorhub-lock-'))
    await writeFile(join(folder, 'count'), '0')
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  /**
   * A process that adds 1 to `count` under the lock, `rounds` times, slowly enough for another to interfere, and ends with 9 when one is inside
   * with it. A victim kills itself inside, before it adds.
   */
  async function worker(rounds: number, kind = ''): Promise<number | null> {
    const script = `
      const { readFileSync, rmSync, writeFileSync } = require('node:fs')
      const { withLock } = require(${JSON.stringify(LOCK)})
      const inside = ${JSON.stringify(join(folder, 'inside'))}, count = ${JSON.stringify(join(folder, 'count'))}
      const alive = (pid) => { try { process.kill(pid, 0); return true } catch { return false } }
      for (let i = 0; i < ${rounds}; i++) withLock(${JSON.stringify(join(folder, 'lock'))}, () => {}, 'a test', () => {
        try {
          writeFileSync(inside, String(process.pid), { flag: 'wx' })
        } catch {
          if (alive(Number(readFileSync(inside, 'utf8')))) process.exit(9)
          writeFileSync(inside, String(process.pid))
        }
        const before = Number(readFileSync(count, 'utf8'))
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1 + Math.random() * 3)
        if (${JSON.stringify(kind)} === '${VICTIM}') process.kill(process.pid, 'SIGKILL')
        writeFileSync(count, String(before + 1))
        rmSync(inside)
      })`
    const [code] = await once(spawn(process.execPath, ['-e', script], { stdio: 'inherit' }), 'close')
    return code as number | null
  }

  it('is held by one process at a time, whichever of them are killed', async () => {
    const victims = Array.from({ length: 8 }, () => worker(1, VICTIM))
    const workers = Array.from({ length: 6 }, () => worker(25))
    expect(await Promise.all(workers)).toEqual([0, 0, 0, 0, 0, 0])
    expect(await Promise.all(victims)).toEqual(Array.from({ length: 8 }, () => null))
    expect(await readFile(join(folder, 'count'), 'utf8')).toBe('150')
    // One number stays, free.
    const left = (await readdir(folder)).filter((name) => name.startsWith('lock'))
    expect(left).toHaveLength(1)
    expect(await worker(1)).toBe(0)
  })

  it('of a process that may live on another machine is not taken', async () => {
    await writeFile(join(folder, 'lock.4'), '1 another-machine ')
    const waiting = worker(1)
    // It waits until someone removes the file, as it says.
    expect(await Promise.race([waiting, new Promise((resolve) => setTimeout(resolve, 1500, 'waits'))])).toBe('waits')
    await rm(join(folder, 'lock.4'))
    expect(await waiting).toBe(0)
  })
})
