import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BlobStore, isHubError, openBlobs } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { describe, expect, it } from 'vitest'

const script = (name: string) => join(import.meta.dirname, 'processes', `${name}.ts`)
const newFolder = () => mkdtemp(join(tmpdir(), 'tensorhub-fs-proc-'))

/** Runs a script to its end and gives what it printed; with `tracer`, under that program. */
async function run(name: string, args: readonly string[], tracer: readonly string[] = []): Promise<string> {
  const [command, ...rest] = [...tracer, process.execPath, script(name), ...args] as [string, ...string[]]
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (piece: Buffer) => {
    out += piece.toString()
  })
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`${name} ended with ${code}`)
  return out
}

/** Every blob that is listed must be there whole: one letter throughout, as its size says. */
async function lookAtAll(blobs: BlobStore): Promise<number> {
  let seen = 0
  for await (const info of blobs.list('')) {
    const bytes = await blobs.bytes(info.key).catch((error: unknown) => {
      // The writers replace blobs, and delete none.
      if (isHubError(error, 'NOT_FOUND')) throw new Error(`${info.key} is listed and not there`)
      throw error
    })
    const stat = await blobs.stat(info.key)
    expect(bytes.length).toBeGreaterThan(0)
    expect(stat.size).toBeGreaterThan(0)
    expect(Buffer.alloc(bytes.length, 97 + (bytes.length % 26)).equals(bytes)).toBe(true)
    seen++
  }
  return seen
}

describe('processes', () => {
  it('killed at any moment (25 times, SIGKILL): what is visible is whole, and what was half written can be swept', async () => {
    const folder = await newFolder()
    const blobs = openBlobs(fs({ folder }))
    let half = 0
    for (let round = 0; round < 25; round++) {
      const child = spawn(process.execPath, [script('writer'), folder], { stdio: ['ignore', 'pipe', 'inherit'] })
      const ended = once(child, 'exit')
      await once(child.stdout, 'data')
      // A reader looks on while it writes; the moment of the kill differs from round to round.
      const until = performance.now() + 5 + ((round * 37) % 120)
      do await lookAtAll(blobs)
      while (performance.now() < until)
      child.kill('SIGKILL')
      await ended
      half = Math.max(half, (await readdir(join(folder, '#staging'))).length)
      await lookAtAll(openBlobs(fs({ folder })))
      for await (const info of blobs.list('new/')) await blobs.delete([info.key])
      if (round % 5 === 4) {
        await blobs.sweep({ before: new Date(Date.now() + 60_000) })
        expect(await readdir(join(folder, '#staging'))).toEqual([])
      }
    }
    // A kill that never met a write would prove nothing.
    expect(half).toBeGreaterThan(0)
  })

  it('racing for 100 keys (6 of them): each key has one winner, and holds what the winner wrote', async () => {
    const folder = await newFolder()
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    const won = await Promise.all(names.map(async (name) => JSON.parse(await run('racer', [folder, name])) as number[]))
    expect(won.flat().sort((x, y) => x - y)).toEqual(Array.from({ length: 100 }, (_, n) => n))
    const blobs = openBlobs(fs({ folder }))
    for (const [i, numbers] of won.entries())
      for (const n of numbers) expect(Buffer.from(await blobs.bytes(`race/${n}`)).toString()).toBe(names[i])
    expect(await readdir(join(folder, '#staging'))).toEqual([])
  })
})

describe.runIf(process.platform !== 'win32')('rights', () => {
  const attempt = async (folder: string) =>
    JSON.parse(await run('attempt', [folder, 'user'])) as Record<'write' | 'read', { code: string; message: string }>

  it('a folder this user may not read: DENIED, named; one it may only read: reads work, writes are DENIED', async () => {
    const above = await newFolder()
    await chmod(above, 0o755)
    const folder = join(above, 'blobs')
    await openBlobs(fs({ folder })).write('key', 'old')
    if (process.geteuid?.() !== 0) await chmod(folder, 0o000)
    const closed = await attempt(folder)
    expect(closed.write).toMatchObject({ code: 'DENIED', message: expect.stringContaining(folder) })
    expect(closed.read).toMatchObject({ code: 'DENIED', message: expect.stringContaining(folder) })

    await chmod(folder, 0o555)
    await chmod(join(folder, 'key.b'), 0o444)
    const readable = await attempt(folder)
    expect(readable.write).toMatchObject({ code: 'DENIED', message: expect.stringContaining('key') })
    expect(readable.read).toEqual({ code: 'OK', message: '' })
    await chmod(folder, 0o755)
  })
})

function works(command: string, args: readonly string[]): boolean {
  try {
    execFileSync(command, args, { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

// strace -f changes what the system answers, or writes down what was asked.
describe.runIf(works('strace', ['-e', 'trace=none', 'true']))('system calls (strace; runs where it may trace)', () => {
  type Outcome = Record<'write' | 'read', { code: string; message: string }>
  const LINKS = 'link,linkat'

  it('hard links refused by the file system: UNSUPPORTED, and a plain write works', async () => {
    const tracer = ['strace', '-f', '-o', '/dev/null', '-e', `trace=${LINKS}`, '-e', `inject=${LINKS}:error=EPERM`]
    const folder = await newFolder()
    const refused = JSON.parse(await run('attempt', [folder, 'ifAbsent'], tracer)) as Outcome
    expect([refused.write.code, refused.read.code]).toEqual(['UNSUPPORTED', 'NOT_FOUND'])
    const plain = JSON.parse(await run('attempt', [folder], tracer)) as Outcome
    expect([plain.write.code, plain.read.code]).toEqual(['OK', 'OK'])
    expect(await readdir(join(folder, '#staging'))).toEqual([])
  })

  it('the file is made durable before it is linked, and its folder after that', async () => {
    const folder = await newFolder()
    const log = join(await newFolder(), 'trace')
    for (const words of [['ifAbsent'], []]) {
      await openBlobs(fs({ folder })).delete(['key'])
      const calls = 'fsync,fdatasync,link,linkat,rename,renameat,renameat2'
      await run('attempt', [folder, ...words], ['strace', '-f', '-y', '-o', log, '-e', `trace=${calls}`])
      const lines = (await readFile(log, 'utf8')).split('\n').filter((line) => line.includes(folder))
      const publish = lines.findIndex((line) => /link|rename/.test(line) && line.includes('key.b'))
      expect(publish).toBeGreaterThan(0)
      expect(lines[publish - 1]).toMatch(/f(data)?sync\(\d+<.*#staging\/[0-9a-f]{24}>/)
      expect(lines.slice(publish + 1).some((line) => /fsync\(\d+</.test(line) && line.includes(`${folder}>`))).toBe(
        true,
      )
    }
  })

  it('fsync that fails from the n-th call on (EIO): never success, and a later process reads the old content or the new', async () => {
    for (let n = 1; n <= 6; n++) {
      const folder = await newFolder()
      await openBlobs(fs({ folder })).write('key', 'old')
      const inject = `inject=fsync,fdatasync:error=EIO:when=${n}+`
      const tracer = ['strace', '-f', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e', inject]
      const { write } = JSON.parse(await run('attempt', [folder], tracer)) as Outcome
      const now = Buffer.from(await openBlobs(fs({ folder })).bytes('key')).toString()
      if (write.code === 'OK') expect(now).toBe('new')
      else {
        expect(write).toMatchObject({ code: 'UNKNOWN', message: expect.stringContaining('EIO') })
        expect(['old', 'new']).toContain(now)
      }
      if (n === 1) expect(write.code).toBe('UNKNOWN')
      if (n === 6) expect(write.code).toBe('OK')
    }
  })
})

const tmpfs = mountTmpfs()
/** A file system of 2 MiB, where this user may mount one. */
function mountTmpfs(): string | undefined {
  const folder = join(tmpdir(), `tensorhub-fs-full-${process.pid}`)
  execFileSync('mkdir', ['-p', folder])
  return works('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', folder]) ? folder : undefined
}

describe.runIf(tmpfs !== undefined)('a full disk (a tmpfs of 2 MiB; runs where the user may mount)', () => {
  it('STORAGE_FULL at any size; nothing half is left, what was there is read, also by a store opened then', async () => {
    const mount = tmpfs as string
    try {
      const folder = join(mount, 'blobs')
      const blobs = openBlobs(fs({ folder }))
      const old = new Uint8Array(1_200_000).fill(1)
      await blobs.write('old', old)
      for (const size of [2 ** 20, 2 ** 20 + 1, 2 ** 21, 2 ** 23]) {
        for (const body of [new Uint8Array(size), new Blob([new Uint8Array(size)])]) {
          await expect(blobs.write('new', body)).rejects.toMatchObject({ code: 'STORAGE_FULL', retryable: true })
          expect(await readdir(join(folder, '#staging'))).toEqual([])
        }
      }
      // Now really to the last byte, as other programs do.
      works('dd', ['if=/dev/zero', `of=${join(mount, 'other')}`, 'bs=4k'])
      const late = openBlobs(fs({ folder }))
      expect(Buffer.compare(await late.bytes('old'), old)).toBe(0)
      await expect(late.write('new', new Uint8Array(5000))).rejects.toMatchObject({ code: 'STORAGE_FULL' })
      await rm(join(mount, 'other'))
      await late.write('new', new Uint8Array(5000))
      expect((await late.stat('new')).size).toBe(5000)
    } finally {
      execFileSync('umount', [mount])
      await rm(mount, { recursive: true, force: true })
    }
  })
})
