import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const run = promisify(execFile)
const source = fileURLToPath(new URL('../src/', import.meta.url))
const packages = fileURLToPath(new URL('../node_modules/', import.meta.url))
let empty: string

beforeAll(async () => {
  empty = await mkdtemp(join(tmpdir(), 'tensorhub-tfjs-'))
})
afterAll(() => rm(empty, { recursive: true, force: true }))

interface Where {
  /** The folder with this package's source. */
  readonly from?: string
  readonly env?: Record<string, string>
  readonly cwd?: string
}

/** Runs a module's text in a fresh process that finds no native build but what `where` has. */
async function fresh(text: string, { from = source, env = {}, cwd = dirname(source) }: Where = {}) {
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

/** A project that has this package and those of `has`: real ones by their path, stand-ins by the text of their module. */
async function project(name: string, has: Record<string, string>): Promise<Where> {
  const cwd = join(empty, name)
  await cp(source, join(cwd, 'src'), { recursive: true })
  const modules = join(cwd, 'node_modules')
  const core = await realpath(join(packages, '@tensorhub', 'core'))
  for (const [id, what] of Object.entries({ '@tensorhub/core': core, ...has })) {
    await mkdir(dirname(join(modules, id)), { recursive: true })
    if (what.startsWith('/')) {
      await symlink(what, join(modules, id))
      continue
    }
    await mkdir(join(modules, id))
    await writeFile(
      join(modules, id, 'package.json'),
      JSON.stringify({ name: id, version: '4.22.0', main: 'index.js' }),
    )
    await writeFile(join(modules, id, 'index.js'), what)
  }
  return { from: join(cwd, 'src'), cwd }
}

const PICKED =
  'const { backend, from, message } = await loadTf(); console.log(JSON.stringify({ backend, from, message }))'
const GPU = '@tensorflow/tfjs-node-gpu'
const NODE = '@tensorflow/tfjs-node'
const PLAIN = '@tensorflow/tfjs'
const WASM = '@tensorflow/tfjs-backend-wasm'

/** Stands in for a native package where only the choice among them is of interest; the real ones are in native.test.ts. */
function standIn(about: { isGPUPackage?: boolean; isUsingGpuDevice?: boolean } = {}, backend = 'tensorflow'): string {
  return `exports.ready = async () => {}; exports.getBackend = () => '${backend}'; exports.backend = () => (${JSON.stringify(about)})`
}
/** What makes a module a copy of TensorFlow.js with a running engine. */
const SHAPE =
  "exports.loadLayersModel = exports.loadGraphModel = exports.tensor = () => {}; globalThis._tfengine = { backendName: 'tensorflow' }"
const BROKEN = "throw new Error('libtensorflow.so.2: cannot open shared object file\\nand more')"

describe('loadTf picks', () => {
  let real: Record<string, string>
  beforeAll(async () => {
    real = { [PLAIN]: await realpath(join(packages, PLAIN)), [WASM]: await realpath(join(packages, WASM)) }
  })

  it('tfjs-node-gpu before tfjs-node, and says which device TensorFlow uses', async () => {
    const gpu = standIn({ isGPUPackage: true, isUsingGpuDevice: true })
    const both = await project('gpu-and-node', { ...real, [GPU]: gpu, [NODE]: standIn() })
    expect((await fresh(PICKED, both)).said).toEqual({
      backend: 'tensorflow',
      from: GPU,
      message: `TensorFlow.js: backend 'tensorflow' of ${GPU}, on the GPU.`,
    })
    const none = await project('gpu-without-device', { ...real, [GPU]: standIn({ isGPUPackage: true }) })
    expect((await fresh(PICKED, none)).said.message).toMatch(/tfjs-node-gpu, on the CPU: TensorFlow found no GPU\.$/)
  })

  it('tfjs-node before tfjs, and the next when one does not load, saying why', async () => {
    const { said } = await fresh(PICKED, await project('node', { ...real, [GPU]: BROKEN, [NODE]: standIn() }))
    expect(said).toMatchObject({ backend: 'tensorflow', from: NODE })
    const broken = await project('broken', { ...real, [GPU]: BROKEN, [NODE]: BROKEN })
    const { said: passed } = await fresh(PICKED, broken)
    expect(passed.backend).toBe('wasm')
    expect(passed.message).toContain(`Passed over: ${GPU}: libtensorflow.so.2: cannot open shared object file;`)
    // It is installed: to install it is no advice.
    expect(passed.message).not.toContain('npm i')
    const insisted = await fresh("await loadTf({ prefer: 'tensorflow' })", broken)
    expect(insisted.said).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining(NODE) as string })
    expect(insisted.said.message).toContain('cannot open shared object file')
  })

  it('wasm where no native build is, without the network, and says so once', async () => {
    const { said, stderr } = await fresh(
      `globalThis.fetch = () => { throw new Error('network') }; await loadTf(); ${PICKED}`,
    )
    expect(said.backend).toBe('wasm')
    expect(stderr.match(/TensorFlow\.js: backend 'wasm'/g)).toHaveLength(1)
    expect(said.message).toContain(`npm i ${NODE}`)
    const asked = await fresh(
      "const { message } = await loadTf({ prefer: 'wasm' }); console.log(JSON.stringify({ message }))",
    )
    expect(asked.said.message).toBe("TensorFlow.js: backend 'wasm', one thread.")
  })

  it('plain JavaScript where wasm is missing or does not start, and insists when told to', async () => {
    const alone = await project('alone', { [PLAIN]: real[PLAIN] as string })
    const { said } = await fresh(PICKED, alone)
    expect(said).toMatchObject({ backend: 'cpu', message: expect.stringContaining(`npm i ${WASM}`) as string })
    const missing = await fresh("await loadTf({ prefer: 'wasm' })", alone)
    expect(missing.said).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining(WASM) as string })

    const stuck = await project('stuck', { [PLAIN]: real[PLAIN] as string, [WASM]: 'exports.setWasmPaths = () => {}' })
    const { said: without } = await fresh(PICKED, stuck)
    expect(without).toMatchObject({ backend: 'cpu', message: expect.stringContaining('Passed over') as string })
    expect(without.message).not.toContain('npm i')
    const insisted = await fresh("await loadTf({ prefer: 'wasm' })", stuck)
    expect(insisted.said).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining(WASM) as string })
  })

  it('the backend that already runs, in the copy that runs it', async () => {
    const own =
      "const { createRequire } = await import('node:module'); const tf = createRequire(process.cwd() + '/x.js')('@tensorflow/tfjs'); await tf.setBackend('cpu');"
    const { said } = await fresh(`${own} ${PICKED}`)
    expect(said).toMatchObject({ backend: 'cpu', message: expect.stringContaining('runs already') as string })

    // Of tfjs-core alone, which is no whole copy.
    const core = `const { createRequire } = await import('node:module')
      const part = createRequire(${JSON.stringify(join(real[PLAIN] as string, 'package.json'))})
      part('@tensorflow/tfjs-backend-cpu'); await part('@tensorflow/tfjs-core').setBackend('cpu');`
    const withNative = await project('core-alone', { ...real, [NODE]: standIn() })
    expect((await fresh(`${core} ${PICKED}`, withNative)).said.backend).toBe('cpu')

    // The user's own import is tfjs-node, and there is a tfjs-node-gpu, which would come first.
    const both = await project('own-import', { ...real, [GPU]: standIn(), [NODE]: `${standIn()}; ${SHAPE}` })
    const imported = `await import(process.cwd() + '/node_modules/${NODE}/index.js');`
    expect((await fresh(`${imported} ${PICKED}`, both)).said).toMatchObject({
      backend: 'tensorflow',
      from: expect.stringContaining(join(NODE, 'index.js')) as string,
    })
    // So does what was asked for before.
    const asked = `await loadTf({ prefer: 'tensorflow', module: '${NODE}' });`
    expect((await fresh(`${asked} ${PICKED}`, both)).said).toMatchObject({ from: NODE })
  })

  it('what it was told to load, and nothing else', async () => {
    const { said } = await fresh(PICKED, { env: { TENSORHUB_TF: join(empty, 'nowhere') } })
    expect(said).toMatchObject({ code: 'INVALID', message: expect.stringContaining('nowhere') as string })
    const plain = await fresh(PICKED, { env: { TENSORHUB_TF: PLAIN } })
    expect(plain.said).toMatchObject({ code: 'INVALID', message: expect.stringContaining('no native build') as string })
    const contradiction = await fresh("await loadTf({ prefer: 'wasm', module: '@tensorflow/tfjs-node' })")
    expect(contradiction.said).toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('give one') as string,
    })
    const named = await project('named', { ...real, [GPU]: standIn(), 'my-build': standIn() })
    expect((await fresh(PICKED, { ...named, env: { TENSORHUB_TF: 'my-build' } })).said.from).toBe('my-build')
  })

  it('nothing where nothing is, naming what to install', async () => {
    const bare = await project('bare', {})
    const { said } = await fresh(PICKED, bare)
    expect(said).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining(`npm i ${PLAIN}`) as string })
    const model = '{ modelTopology: {}, weightSpecs: [], weights: [] }'
    expect((await fresh(`await tfjs().load(${model})`, bare)).said).toMatchObject({ code: 'UNSUPPORTED' })
    expect((await fresh('await tfjs().load({ weights: [] })', bare)).said).toMatchObject({ code: 'INTEGRITY' })
  })
})
