import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const source = fileURLToPath(new URL('../src/', import.meta.url))
let empty: string

beforeAll(async () => {
  empty = await mkdtemp(join(tmpdir(), 'tensorhub-tfjs-'))
})
afterAll(() => rm(empty, { recursive: true, force: true }))

/** Runs a module's text in a fresh process that finds no native build but what `env` names. */
async function fresh(
  text: string,
  {
    from = source,
    env = {},
    cwd = dirname(source),
  }: { from?: string; env?: Record<string, string>; cwd?: string } = {},
) {
  const index = pathToFileURL(join(from, 'index.ts')).href
  const script = `
    const { loadTf, tfjs } = await import(${JSON.stringify(index)})
    try { ${text} } catch (error) { console.log(JSON.stringify({ code: error.code, message: error.message })) }`
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '-e', script], {
    cwd,
    env: { PATH: process.env.PATH, TENSORHUB_CACHE: empty, ...env },
  })
  return { said: JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Record<string, unknown>, stderr }
}

const PICKED = 'const { backend, message } = await loadTf(); console.log(JSON.stringify({ backend, message }))'

describe('loadTf', () => {
  it('takes wasm where no native build is, without the network, and says so once', async () => {
    const { said, stderr } = await fresh(
      `globalThis.fetch = () => { throw new Error('network') }; await loadTf(); ${PICKED}`,
    )
    expect(said.backend).toBe('wasm')
    expect(stderr.match(/TensorFlow\.js: backend 'wasm'/g)).toHaveLength(1)
    expect(said.message).toMatch(/npm i @tensorflow\/tfjs-node/)
  })

  it('keeps a backend that already runs', async () => {
    const own =
      "const { createRequire } = await import('node:module'); const tf = createRequire(process.cwd() + '/x.js')('@tensorflow/tfjs'); await tf.setBackend('cpu');"
    const { said } = await fresh(`${own} ${PICKED}`)
    expect(said).toMatchObject({ backend: 'cpu', message: expect.stringContaining('runs already') as string })
  })

  it('insists on what it was told to load', async () => {
    const { said } = await fresh(PICKED, { env: { TENSORHUB_TF: join(empty, 'nowhere') } })
    expect(said).toMatchObject({ code: 'INVALID', message: expect.stringContaining('nowhere') as string })
    const native = await fresh("await loadTf({ prefer: 'tensorflow' })")
    expect(native.said).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('@tensorflow/tfjs-node') as string,
    })
  })

  it('names what to install where nothing is', async () => {
    const bare = join(empty, 'bare')
    await mkdir(join(bare, 'node_modules', '@tensorhub'), { recursive: true })
    await cp(source, join(bare, 'src'), { recursive: true })
    const core = await realpath(new URL('../node_modules/@tensorhub/core', import.meta.url))
    await symlink(core, join(bare, 'node_modules', '@tensorhub', 'core'))
    const options = { from: join(bare, 'src'), cwd: bare }
    const { said } = await fresh(PICKED, options)
    expect(said).toMatchObject({
      code: 'UNSUPPORTED',
      message: expect.stringContaining('npm i @tensorflow/tfjs') as string,
    })
    const model = '{ modelTopology: {}, weightSpecs: [], weights: [] }'
    expect((await fresh(`await tfjs().load(${model})`, options)).said).toMatchObject({ code: 'UNSUPPORTED' })
    expect((await fresh('await tfjs().load({ weights: [] })', options)).said).toMatchObject({ code: 'INTEGRITY' })
  })
})
