import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

const INSTALL = fileURLToPath(new URL('../tools/tfjs-native/install.mjs', import.meta.url))
const PACKAGE = 'tfjs-node-4.22.0/node_modules/@tensorflow/tfjs-node'

describe.skipIf(process.platform !== 'linux')('the tool that builds tfjs-node', () => {
  let folder: string
  let cache: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tensorhub-native-'))
    cache = join(folder, 'cache', 'tfjs-native')
    await mkdir(cache, { recursive: true })
    await mkdir(join(folder, 'bin'))
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  /** Runs it on a machine that has only these programs; each does nothing, and well. */
  async function install(programs: readonly string[], ...args: string[]) {
    for (const name of programs) await symlink('/bin/true', join(folder, 'bin', name)).catch(() => undefined)
    return new Promise<{ code: number; stdout: string; stderr: string }>((resolve) => {
      const env = { PATH: join(folder, 'bin'), HOME: folder, TENSORHUB_CACHE: join(folder, 'cache') }
      execFile(process.execPath, [INSTALL, ...args], { env }, (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
      )
    })
  }

  it('names what the machine lacks', async () => {
    expect(await install([])).toMatchObject({
      code: 1,
      stdout: '',
      stderr: expect.stringContaining('no Python') as string,
    })
    expect((await install(['python3'])).stderr).toContain('no C++ compiler')
    expect((await install(['g++'])).stderr).toContain('`make` was not found')
    expect(await install([], '--cuda')).toMatchObject({ code: 1, stderr: expect.stringContaining('--cuda') as string })
    // It began, and left nothing.
    expect((await readdir(cache)).filter((name) => !name.startsWith('lock.'))).toEqual([])
  })

  it('takes what is in the cache, and only when its libraries are still there', async () => {
    const libraries = join(cache, PACKAGE, 'deps', 'lib')
    await mkdir(libraries, { recursive: true })
    await writeFile(join(folder, 'libtensorflow_cc.so.2'), '')
    await symlink(join(folder, 'libtensorflow_cc.so.2'), join(libraries, 'libtensorflow.so'))
    // A build that was not finished has no stamp.
    expect((await install([])).code).toBe(1)
    await writeFile(join(cache, 'tfjs-node-4.22.0', 'built.json'), '{"node":"v24.0.0","said":"it trains"}')
    expect(await install([])).toMatchObject({
      code: 0,
      stdout: `${join(cache, PACKAGE)}\n`,
      stderr: expect.stringContaining('it trains') as string,
    })
    await rm(join(folder, 'libtensorflow_cc.so.2'))
    expect((await install([])).code).toBe(1)
    expect((await install([], '--gpu')).code).toBe(1)
  })

  it('removes what a killed build left', async () => {
    await mkdir(join(cache, 'building-123', 'wheel'), { recursive: true })
    // Everything seems to be there, and then nothing comes of the build.
    const { code, stderr } = await install(['python3', 'g++', 'make', 'npm'])
    expect(code).toBe(1)
    expect(stderr).toContain('libtensorflow_cc.so.2')
    expect((await readdir(cache)).filter((name) => !name.startsWith('lock.'))).toEqual([])
  })
})
