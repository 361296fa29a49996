import { dirname } from 'node:path'
import { HubError } from '@tensorhub/core'
import type { TensorFlowLike } from '../shapes.ts'
import { type Candidate, candidates, reasonOf, requireCandidate, restoreNodeUtil } from './candidates.ts'
import { loadedCopy, runningBackend } from './running.ts'

/** `tensorflow` is TensorFlow's native library (tfjs-node, tfjs-node-gpu); `cpu` is plain JavaScript. */
export type Backend = 'tensorflow' | 'wasm' | 'cpu'

/** Options of {@link loadTf}. */
export interface LoadTfOptions {
  /** Only this backend. Default: the fastest that is there: tensorflow, wasm, cpu. */
  readonly prefer?: Backend
  /**
   * A package, folder or file to `require()` as the native build, instead of any other. Default: the environment variable TENSORHUB_TF; without
   * it @tensorflow/tfjs-node-gpu, then @tensorflow/tfjs-node, each as installed or else as `tools/tfjs-native` built it in its cache.
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
  /** tfjs-node's backend says whether TensorFlow found a GPU. */
  backend(): { readonly isGPUPackage?: boolean; readonly isUsingGpuDevice?: boolean }
}

const NATIVE_NAMES = '@tensorflow/tfjs-node or @tensorflow/tfjs-node-gpu'
const HELP = 'see "Backends" in the README of @tensorhub/tfjs'
const RUNS_ALREADY = ', which this process runs already'
const at = { scheme: 'tfjs', op: 'loadTf' }
const loading = new Map<string, Promise<LoadedTf>>()
/** What was loaded here last. */
let current: LoadedTf | undefined
let said = false

/**
 * Loads TensorFlow.js with the fastest backend that is installed: @tensorflow/tfjs-node-gpu, @tensorflow/tfjs-node, @tensorflow/tfjs with
 * @tensorflow/tfjs-backend-wasm, @tensorflow/tfjs alone. All are optional; nothing is fetched from the network. One that is installed and does not
 * load is passed over, which the message says with the reason. A backend that already runs in this process is kept unless `prefer` names another,
 * because all copies of TensorFlow.js in a process share one engine.
 *
 * For full types: `loadTf<typeof import('@tensorflow/tfjs')>()`.
 *
 * @throws UNSUPPORTED when none is installed, naming what to install; INVALID when TENSORHUB_TF or `module` names nothing that loads; UNAVAILABLE
 *   when the backend that `prefer` names does not start.
 */
export async function loadTf<T = TensorFlowLike>(options: LoadTfOptions = {}): Promise<LoadedTf<T>> {
  const { prefer } = options
  if (options.module !== undefined && prefer !== undefined && prefer !== 'tensorflow')
    throw new HubError(
      'INVALID',
      `loadTf: 'module' names a native build, and 'prefer' asks for '${prefer}'; give one.`,
      { at },
    )
  const result =
    prefer === undefined && options.module === undefined
      ? (running() ?? (await once(undefined, process.env.TENSORHUB_TF || undefined)))
      : await once(prefer, options.module ?? (process.env.TENSORHUB_TF || undefined))
  current = result
  if (options.log) options.log(result.message)
  else if (!said) process.stderr.write(`${result.message}\n`)
  said = true
  return result as LoadedTf<unknown> as LoadedTf<T>
}

/** The copy that runs in this process already, here or elsewhere loaded. */
function running(): LoadedTf | undefined {
  const backend = runningBackend()
  if (backend === undefined) return undefined
  if (current?.tf.getBackend() === backend) return { ...current, backend }
  const copy = loadedCopy(backend)
  if (copy === undefined) return undefined
  if (backend === 'tensorflow') restoreNodeUtil()
  const message = `TensorFlow.js: backend '${backend}'${RUNS_ALREADY}.`
  return { tf: copy.tf, backend, from: copy.path, message }
}

/** Callers at the same time share one load. */
function once(prefer: Backend | undefined, module: string | undefined): Promise<LoadedTf> {
  const key = JSON.stringify([prefer ?? null, module ?? null])
  const under = loading.get(key)
  if (under !== undefined) return under
  const begun = load(prefer, module).finally(() => loading.delete(key))
  loading.set(key, begun)
  return begun
}

async function load(prefer: Backend | undefined, module: string | undefined): Promise<LoadedTf> {
  const tried: string[] = []
  // One that runs without a copy to be found (a bundle, or tfjs-core alone) is kept all the same; to load a native build would replace it.
  const kept = prefer === undefined ? runningBackend() : undefined
  if (kept !== undefined && kept !== 'tensorflow') return loadPlain(undefined, tried, kept)
  if (prefer === undefined || prefer === 'tensorflow') {
    for (const candidate of candidates(module)) {
      const found = await loadNative(candidate, tried)
      if (found) return found
    }
    if (prefer === 'tensorflow')
      throw missing(`no native build of TensorFlow.js loads: npm i ${NATIVE_NAMES}; where that fails, ${HELP}`, tried)
  }
  return loadPlain(prefer, tried)
}

async function loadNative(candidate: Candidate, tried: string[]): Promise<LoadedTf | undefined> {
  // TensorFlow's C++ library logs its CPU features on every start; warnings and errors stay.
  process.env.TF_CPP_MIN_LOG_LEVEL ??= '1'
  restoreNodeUtil()
  const found = requireCandidate<PlainTf>(candidate)
  try {
    if ('reason' in found) throw found.cause ?? new Error(found.reason)
    const tf = found.module
    await tf.ready()
    const backend = tf.getBackend()
    if (backend !== 'tensorflow') throw new Error(`it runs on the backend '${backend}', so it is no native build`)
    return {
      tf,
      backend,
      from: candidate.path,
      message: `TensorFlow.js: backend '${backend}' of ${candidate.name}${device(tf)}.`,
    }
  } catch (cause) {
    const reason = reasonOf(cause)
    if (candidate.required)
      throw new HubError(
        'INVALID',
        `${candidate.path} cannot be loaded as a native build of TensorFlow.js: ${reason}`,
        { at, cause },
      )
    if (!('reason' in found) || found.installed) tried.push(`${candidate.name}: ${reason}`)
    return undefined
  }
}

function device(tf: PlainTf): string {
  const { isGPUPackage, isUsingGpuDevice } = tf.backend()
  if (isUsingGpuDevice === true) return ', on the GPU'
  return isGPUPackage === true ? ', on the CPU: TensorFlow found no GPU' : ''
}

async function loadPlain(prefer: Backend | undefined, tried: string[], kept?: string): Promise<LoadedTf> {
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
  const as = (backend: string, text: string): LoadedTf => ({
    tf,
    backend,
    from: found.path,
    message: `TensorFlow.js: backend '${backend}'${text}.${tried.length > 0 ? ` Passed over: ${tried.join('; ')}.` : ''}`,
  })
  if (kept !== undefined) return as(kept, RUNS_ALREADY)
  // Advice is for those who did not choose; and what is there and failed is not to be installed again.
  const advice = (names: string) => (tried.length > 0 ? HELP : `npm i ${names} (${HELP})`)
  if (prefer !== 'cpu' && (await startWasm(tf, prefer === 'wasm', tried)))
    return as(
      'wasm',
      prefer === 'wasm' ? ', one thread' : `, one thread. Several times faster: ${advice(NATIVE_NAMES)}`,
    )
  await tf.setBackend('cpu')
  const faster = `Many times faster: ${advice(`@tensorflow/tfjs-backend-wasm, or ${NATIVE_NAMES}`)}`
  return as('cpu', prefer === 'cpu' ? ', plain JavaScript' : `, plain JavaScript. ${faster}`)
}

/** Registers and starts the WebAssembly backend; false when it is not there or does not start, unless it is insisted on. */
async function startWasm(tf: PlainTf, required: boolean, tried: string[]): Promise<boolean> {
  const name = '@tensorflow/tfjs-backend-wasm'
  const found = requireCandidate<{ setWasmPaths(folder: string): void }>({ name, path: name })
  if ('reason' in found) {
    if (required)
      throw missing(
        found.installed ? `${name} cannot be loaded: ${found.reason}` : `${name} is not installed (npm i ${name})`,
        [],
      )
    if (found.installed) tried.push(`${name}: ${found.reason}`)
    return false
  }
  // The .wasm files lie beside the package's main file; a path, so that they are read and not fetched.
  found.module.setWasmPaths(`${dirname(found.path)}/`)
  let cause: unknown
  try {
    if (await tf.setBackend('wasm')) return true
  } catch (error) {
    cause = error
  }
  const reason =
    cause === undefined ? 'its backend does not start; its version must be that of @tensorflow/tfjs' : reasonOf(cause)
  if (required) throw new HubError('UNAVAILABLE', `${name} is installed, and ${reason}.`, { at, cause })
  tried.push(`${name}: ${reason}`)
  return false
}

function missing(what: string, tried: readonly string[]): HubError {
  const passed = tried.length > 0 ? ` Passed over: ${tried.join('; ')}.` : ''
  return new HubError('UNSUPPORTED', `TensorFlow.js: ${what}.${passed}`, { at, reason: 'PACKAGE_MISSING' })
}
