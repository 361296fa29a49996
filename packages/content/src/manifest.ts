import { HubError } from '@tensorhub/core'
import { type Dtype, isDtype } from './dtypes.ts'

/** A piece of a tensor: chunk number, offset in the raw chunk, length; bytes. */
export type Extent = readonly [chunk: number, offset: number, length: number]

export interface ManifestTensor {
  readonly name: string
  readonly dtype: Dtype
  readonly shape: readonly number[]
  /** In order; together the tensor's bytes. */
  readonly at: readonly Extent[]
}

export interface ManifestChunk {
  readonly key: string
  /** `sha256:<hex of the raw bytes>`. */
  readonly id: string
  /** Raw bytes. */
  readonly size: number
  /** Bytes in the blob store. */
  readonly stored: number
}

/** The whole description of a stored value. */
export interface FullManifest {
  readonly v: 1
  /** `'value'`, `'file'` (an opaque stream), or a model codec's format. */
  readonly format: string
  /** The JSON tree (value-codec.ts), as text; absent for files. A large one is the tensor `$tree`. */
  readonly tree?: string
  readonly tensors: readonly ManifestTensor[]
  readonly chunks: readonly ManifestChunk[]
  /** Raw bytes of all tensors (and of the tree, where it is a tensor). */
  readonly bytes: number
  /** Stored bytes of the chunks, each counted once; of an inline value, its bytes. */
  readonly stored: number
  /** A small value's safetensors form in base64; then there are no chunks. */
  readonly inline?: string
}

/** A manifest too large for the document: it lies in a blob. */
export interface ManifestRef {
  readonly v: 1
  readonly format: string
  readonly bytes: number
  readonly stored: number
  readonly manifest: { readonly key: string; readonly id: string; readonly size: number }
}

/** The `content` field of a document. */
export type Manifest = FullManifest | ManifestRef

export function isRef(manifest: Manifest): manifest is ManifestRef {
  return 'manifest' in manifest
}

/** Checks what was read from a document or a blob. @throws UNSUPPORTED for a newer version, INTEGRITY for anything malformed. */
export function checkManifest(value: unknown, target: string): Manifest {
  const at = { scheme: 'content', op: 'load', target }
  const fail = (what: string) => new HubError('INTEGRITY', `The content of ${target} is damaged: ${what}.`, { at })
  if (typeof value !== 'object' || value === null) throw fail('it is no object')
  const m = value as Partial<FullManifest & ManifestRef>
  if (typeof m.v === 'number' && m.v > 1)
    throw new HubError(
      'UNSUPPORTED',
      `The content of ${target} has format version ${m.v}; upgrade tensorhub to read it.`,
      { at },
    )
  if (m.v !== 1 || typeof m.format !== 'string' || !isSize(m.bytes) || !isSize(m.stored))
    throw fail('its fields are not those of a manifest')
  if (m.manifest !== undefined) {
    if (typeof m.manifest.key !== 'string' || !isId(m.manifest.id) || !isSize(m.manifest.size))
      throw fail('its reference is malformed')
    return m as ManifestRef
  }
  if (!Array.isArray(m.tensors) || !Array.isArray(m.chunks)) throw fail('it has no tensors or chunks')
  for (const chunk of m.chunks) {
    if (typeof chunk?.key !== 'string' || !isId(chunk.id) || !isSize(chunk.size) || !isSize(chunk.stored))
      throw fail('a chunk is malformed')
  }
  for (const tensor of m.tensors) {
    const t = tensor as Partial<ManifestTensor>
    if (
      typeof t.name !== 'string' ||
      !isDtype(t.dtype) ||
      !Array.isArray(t.shape) ||
      !t.shape.every(isSize) ||
      !Array.isArray(t.at)
    )
      throw fail('a tensor is malformed')
    for (const extent of t.at) {
      const [chunk, offset, length] = extent as Extent
      const size = m.chunks[chunk]?.size
      if (!isSize(offset) || !isSize(length) || size === undefined || offset + length > size)
        throw fail(`tensor '${t.name}' reaches beyond its chunk`)
    }
  }
  return m as FullManifest
}

function isSize(n: unknown): n is number {
  return typeof n === 'number' && Number.isSafeInteger(n) && n >= 0
}

function isId(id: unknown): id is string {
  return typeof id === 'string' && /^sha256:[0-9a-f]{64}$/.test(id)
}
