import { readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Sandbox } from './sandbox.ts'

const OLD = '20.20.2'
const NEW = '24.21.0'
/** Says which Node runs: that of the toolchain or the one that was there. */
const WHO = ['exec', 'node', '-p', "process.env.BY ?? 'system'"]

const { isNewEnough, nodePackage } = createRequire(import.meta.url)('../../tools/bootstrap/packages.cjs') as {
  isNewEnough(version: string): boolean
  nodePackage(platform: string, arch: string): unknown
}

// The stand-ins for Node and pnpm are shell scripts.
describe.skipIf(process.platform === 'win32')('the bootstrap', { timeout: 240_000 }, () => {
  let box: Sandbox
  beforeEach(async () => {
    box = await Sandbox.make()
  })
  afterEach(() => box.remove())

  async function until(what: string, found: () => boolean | Promise<boolean>): Promise<void> {
    const end = performance.now() + 120_000
    while (!(await found())) {
      if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
      await wait(20)
    }
  }

  it('fetches a newer Node and pnpm into the project alone, says so, and needs no network the second time', async () => {
    const first = await box.run(OLD, ...WHO)
    expect(first).toMatchObject({ code: 0, stdout: 'toolchain\n' })
    const { node, pnpm } = box.names
    expect(first.stderr).toContain(`Node ${OLD} is older than 24: fetching ${node}@`)
    expect(first.stderr).toContain('from the npm registry into .toolchain (nothing is installed globally)')
    expect(box.registry.fetched).toEqual([node, pnpm])
    expect(await readdir(join(box.folder, 'home'))).toEqual([])
    expect((await readdir(box.repository)).sort()).toEqual(
      ['.toolchain', 'node_modules', 'package.json', 'pnpm-lock.yaml', 'pnpm.log'].sort(),
    )

    box.registry.weather = 'deny'
    await rm(join(box.folder, 'npm-cache'), { recursive: true })
    const second = await box.run(OLD, ...WHO)
    expect(second).toEqual({ code: 0, stdout: 'toolchain\n', stderr: '' })
    expect(await box.installs()).toBe(1)
  })

  it('takes the Node that is there when it is new enough', async () => {
    expect(await box.run(NEW, ...WHO)).toMatchObject({ code: 0, stdout: 'system\n' })
    expect(box.registry.fetched).toEqual([box.names.pnpm])
    expect(['20.20.2', '22.23.2', '23.11.1', '16.0.0'].filter(isNewEnough)).toEqual([])
    const enough = ['24.0.0', '24.21.0', '26.10.0']
    expect(enough.filter(isNewEnough)).toEqual(enough)
    expect(() => nodePackage('sunos', 'sparc')).toThrow(/sunos sparc.*install Node 24/)
  })

  it.each(['cut', 'deny'] as const)(
    'a fetch that the registry breaks off (%s) fails by name and leaves nothing',
    async (weather) => {
      box.registry.weather = weather
      const failed = await box.run(OLD, ...WHO)
      expect(failed.code).toBe(1)
      expect(failed.stderr).toMatch(new RegExp(`could not fetch ${box.names.node}@.*Check the connection`))
      expect(await box.toolchain()).toEqual([])
      box.registry.weather = 'serve'
      expect(await box.run(OLD, ...WHO)).toMatchObject({ code: 0, stdout: 'toolchain\n' })
    },
  )

  it.each(['it and npm', 'it alone'])('killed while it fetches (%s), the next run begins anew', async (who) => {
    box.registry.weather = 'stall'
    const killed = box.start(OLD, ...WHO)
    await until('a fetch', () => box.registry.fetched.length > 0)
    if (who === 'it alone') killed.signal('SIGKILL')
    else killed.killAll()
    await until('its end', async () => /\.tmp$/.test((await box.toolchain()).join('\n')))
    box.registry.weather = 'serve'
    const next = await box.run(OLD, ...WHO)
    expect(next).toMatchObject({ code: 0, stdout: 'toolchain\n' })
    expect((await box.toolchain()).filter((name) => name.endsWith('.tmp'))).toEqual([])
    if (who === 'it alone') killed.killAll()
  })

  it('two at once: one prepares, the other waits and says so', async () => {
    box.registry.weather = 'stall'
    const first = box.start(OLD, ...WHO)
    await until('a fetch', () => box.registry.fetched.length > 0)
    const second = box.start(OLD, ...WHO)
    await until('a line', () => second.stderr.includes('waiting for it'))
    first.killAll()
    box.registry.weather = 'serve'
    const third = box.start(OLD, ...WHO)
    expect(await second.ended).toMatchObject({ code: 0, stdout: 'toolchain\n' })
    expect(await third.ended).toMatchObject({ code: 0, stdout: 'toolchain\n' })
    // Once in vain, then once by whichever of the two came first.
    expect(box.registry.fetched).toEqual([box.names.node, box.names.node, box.names.pnpm])
    expect(await box.installs()).toBe(1)
  })

  it('installs the packages again when the lockfile changed, or when it failed before', async () => {
    await writeFile(join(box.repository, 'fail'), '')
    const failed = await box.run(NEW, ...WHO)
    expect(failed).toMatchObject({ code: 1, stdout: '' })
    expect(failed.stderr).toContain('pnpm install ended with 3')
    await rm(join(box.repository, 'fail'))
    expect((await box.run(NEW, ...WHO)).code).toBe(0)
    expect((await box.run(NEW, ...WHO)).code).toBe(0)
    expect(await box.installs()).toBe(2)

    // Fails with another lockfile, which then changes back: what lies in node_modules is of neither.
    await writeFile(join(box.repository, 'pnpm-lock.yaml'), 'lockfileVersion: 10\n')
    await writeFile(join(box.repository, 'fail'), '')
    expect((await box.run(NEW, ...WHO)).code).toBe(1)
    await rm(join(box.repository, 'fail'))
    await writeFile(join(box.repository, 'pnpm-lock.yaml'), 'lockfileVersion: 9\n')
    expect((await box.run(NEW, ...WHO)).code).toBe(0)
    expect(await box.installs()).toBe(4)
  })

  it("the command's end is its own, and signals reach it", async () => {
    expect((await box.run(NEW, 'exec', 'node', '-e', 'process.exit(7)')).code).toBe(7)
    expect((await box.run(NEW, 'exec', 'node', '-e', "process.kill(process.pid, 'SIGKILL')")).code).toBe(137)
    const program = "process.on('SIGTERM', () => process.exit(5)); setInterval(() => {}, 1000); console.log('up')"
    const running = box.start(NEW, 'exec', 'node', '-e', program)
    await until('the program', () => running.stdout.includes('up'))
    running.signal('SIGTERM')
    expect((await running.ended).code).toBe(5)
    expect(await box.run(NEW, 'exec', 'no-such-program')).toMatchObject({ code: 1 })
    const unknown = await box.run(NEW, 'tests')
    expect(unknown).toMatchObject({ code: 1, stdout: '' })
    expect(unknown.stderr).toContain("no command 'tests'; there are demo, test, bench")
  })
})
