import { createRequire } from 'node:module'
import { dirname } from 'node:path'
import { HubError } from '@tensorhub/core'
import type { TensorFlowLike } from '../shapes.ts'
import { type Candidate, candidates, requireCandidate } from './candidates.ts'

/** `tensorflow` is TensorFlow's native library (tfjs-node, tfjs-node-gpu); `cpu` is plain JavaScript. */
export type Backend = 'tensorflow' | 'wasm' | 'cpu'

/** Options of {@link loadTf}. */
export interface LoadTfOptions {
  /** Only this backend. Default: the fastest that is there: tensorflow, wasm, cpu. */
  readonly prefer?: Backend
  /**
   * A folder or file to `require()` as the native build, before any other. Default: the environment variable TENSORHUB_TF, then the packages
   * @tensorflow/tfjs-node-gpu and @tensorflow/tfjs-node, then the builds of `tools/tfjs-native` in its cache.
   */
  readonly module?: string
  /** Takes the line that says which backend was picked. Default: standard error, once a process. */
  readonly log?: (line: string) => void
}

/** TensorFlow.js with its backend running. */
export interface LoadedTf<T = TensorFlowLike> {
  readonly tf: T
  readonly backend: string
  /** The package, or the path it was loaded from. */
  readonly from: string
  /** Which backend was picked, and how to get a faster one. */
  readonly message: string
}

interface PlainTf extends TensorFlowLike {
  setBackend(name: string): Promise<boolean>
  ready(): Promise<void>
}

const GET_NATIVE =
  'npm i @tensorflow/tfjs-node (or tfjs-node-gpu); where its download fails, see the README of @tensorhub/tfjs'
const loaded = new Map<string, Promise<LoadedTf>>()
let said = false

/**
 * Loads TensorFlow.js with the fastest backend that is installed: @tensorflow/tfjs-node-gpu, @tensorflow/tfjs-node, @tensorflow/tfjs with
 * @tensorflow/tfjs-backend-wasm, @tensorflow/tfjs alone. All are optional; nothing is fetched from the network. A backend that already runs in
 * this process is kept unless `prefer` names another, because all copies of TensorFlow.js in a process share one engine.
 *
 * For full types: `loadTf<typeof import('@tensorflow/tfjs')>()`.
 *
 * @throws UNSUPPORTED when none is installed, naming what to install; INVALID when TENSORHUB_TF or `module` names nothing that loads.
 */
export async function loadTf<T = TensorFlowLike>(options: LoadTfOptions = {}): Promise<LoadedTf<T>> {
  const module = options.module ?? process.env.TENSORHUB_TF
  const key = JSON.stringify([options.prefer ?? null, module ?? null])
  let loading = loaded.get(key)
  if (!loading) {
    loading = load(options.prefer, module || undefined)
    loaded.set(key, loading)
    loading.then(undefined, () => loaded.delete(key))
  }
  const result = await loading
  if (options.log) options.log(result.message)
  else if (!said) process.stderr.write(`${result.message}\n`)
  said = true
  return result as LoadedTf<unknown> as LoadedTf<T>
}

/** The backend that the engine shared by all copies of TensorFlow.js in this process runs on, if one has been chosen. */
function runningBackend(): string | undefined {
  return (globalThis as { _tfengine?: { backendName?: string } })._tfengine?.backendName
}

async function load(prefer: Backend | undefined, module: string | undefined): Promise<LoadedTf> {
  const running = prefer === undefined ? runningBackend() : undefined
  const tried: string[] = []
  if (running === undefined || running === 'tensorflow') {
    if (prefer === undefined || prefer === 'tensorflow') {
      for (const candidate of candidates(module)) {
        const native = await loadNative(candidate, tried)
        if (native) return native
      }
    }
    if (prefer === 'tensorflow') throw missing(`no native build of TensorFlow.js was found (${GET_NATIVE})`, tried)
  }
  return loadPlain(prefer, running, tried)
}

async function loadNative(candidate: Candidate, tried: string[]): Promise<LoadedTf | undefined> {
  // TensorFlow's C++ library logs its CPU features on every start; warnings and errors stay.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '1'
  const found = requireCandidate<PlainTf>(candidate)
  if ('reason' in found) {
    if (candidate.required)
      throw new HubError('INVALID', `${candidate.path} cannot be loaded as TensorFlow.js: ${found.reason}`, {
        at,
        cause: found.cause,
      })
    if (found.installed) tried.push(`${candidate.name}: ${found.reason}`)
    return undefined
  }
  const tf = found.module
  await tf.ready()
  const backend = tf.getBackend()
  return { tf, backend, from: candidate.path, message: `TensorFlow.js: backend '${backend}' of ${candidate.name}.` }
}

const at = { scheme: 'tfjs', op: 'loadTf' }

async function loadPlain(prefer: Backend | undefined, running: string | undefined, tried: string[]): Promise<LoadedTf> {
  const name = '@tensorflow/tfjs'
  const found = requireCandidate<PlainTf>({ name, path: name })
  if ('reason' in found) {
    throw missing(
      found.installed
        ? `${name} cannot be loaded: ${found.reason}`
        : `${name} is not installed (npm i ${name} @tensorflow/tfjs-backend-wasm)`,
      tried,
    )
  }
  const tf = found.module
  const failed = tried.length > 0 ? ` Passed over: ${tried.join('; ')}.` : ''
  if (running !== undefined) {
    return {
      tf,
      backend: running,
      from: found.path,
      message: `TensorFlow.js: backend '${running}', which this process runs already.${failed}`,
    }
  }
  if (prefer !== 'cpu' && (await startWasm(tf, prefer === 'wasm', found.path))) {
    return {
      tf,
      backend: 'wasm',
      from: found.path,
      message: `TensorFlow.js: backend 'wasm', one thread. Several times faster: ${GET_NATIVE}.${failed}`,
    }
  }
  await tf.setBackend('cpu')
  const faster = `Ten times faster and more: npm i @tensorflow/tfjs-backend-wasm, or ${GET_NATIVE}`
  return {
    tf,
    backend: 'cpu',
    from: found.path,
    message: `TensorFlow.js: backend 'cpu', plain JavaScript. ${faster}.${failed}`,
  }
}

/** Registers and starts the WebAssembly backend; false when its package is not installed and not insisted on. */
async function startWasm(tf: PlainTf, required: boolean, tfPath: string): Promise<boolean> {
  const name = '@tensorflow/tfjs-backend-wasm'
  const found = requireCandidate<{ setWasmPaths(folder: string): void }>({ name, path: name }, tfPath)
  if ('reason' in found) {
    if (!required && !found.installed) return false
    throw missing(
      found.installed ? `${name} cannot be loaded: ${found.reason}` : `${name} is not installed (npm i ${name})`,
      [],
    )
  }
  // The .wasm files lie beside the package's main file; a path, so that they are read and not fetched.
  found.module.setWasmPaths(`${dirname(createRequire(import.meta.url).resolve(found.path))}/`)
  if (!(await tf.setBackend('wasm'))) {
    throw new HubError(
      'UNAVAILABLE',
      `${name} is installed and its backend does not start; its version must be that of @tensorflow/tfjs.`,
      { at },
    )
  }
  return true
}

function missing(what: string, tried: readonly string[]): HubError {
  const passed = tried.length > 0 ? ` Passed over: ${tried.join('; ')}.` : ''
  return new HubError('UNSUPPORTED', `TensorFlow.js: ${what}.${passed}`, { at, reason: 'PACKAGE_MISSING' })
}
