import { createRequire } from 'node:module'
import type { TensorFlowLike } from '../shapes.ts'

/** The backend that the engine shared by all copies of TensorFlow.js in this process runs on, if one has been chosen. */
export function runningBackend(): string | undefined {
  return (globalThis as { _tfengine?: { backendName?: string } })._tfengine?.backendName
}

/**
 * The copy of TensorFlow.js that this process has loaded already. Models must be made by the same copy: each counts the names of its variables for
 * itself, and the shared engine refuses one that it has ("Variable with name dense_Dense1/kernel was already registered").
 */
export function loadedCopy(backend: string): { readonly tf: TensorFlowLike; readonly path: string } | undefined {
  // An `import` of these packages goes through this cache as well, since they are CommonJS.
  const modules = Object.entries(createRequire(import.meta.url).cache)
  const copies = modules.flatMap(([path, module]) => {
    const exported: unknown = module?.exports
    return /[\\/]@tensorflow[\\/]/.test(path) && isNamespace(exported) ? [{ tf: exported, path }] : []
  })
  const native = copies.find(({ path }) => /[\\/]tfjs-node(-gpu)?[\\/]/.test(path))
  return backend === 'tensorflow' ? native : copies.find((copy) => copy !== native)
}

function isNamespace(exported: unknown): exported is TensorFlowLike {
  if (typeof exported !== 'object' || exported === null) return false
  const members = exported as Record<string, unknown>
  return ['loadLayersModel', 'loadGraphModel', 'tensor', 'getBackend'].every(
    (name) => typeof members[name] === 'function',
  )
}
