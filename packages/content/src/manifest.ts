import { HubError } from '@tensorhub/core'
import { bytesOf, type Dtype, isDtype } from './dtypes.ts'

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
  /**
   * CRC-32 of the stored bytes of a compressed chunk. Its id covers what they decode to; some bits of a compressed frame carry nothing, and damage to them
   * would go unnoticed for as long as it is harmless.
   */
  readonly crc?: number
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
  /** With `inline`: `sha256:<hex of its bytes>`, so that this read is verified too. */
  readonly id?: string
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

/** All that a manifest says of its value, and nothing of where that lies: keys, codecs and stored sizes are each store's own. */
export function identityOf({ format, tree, tensors, chunks, bytes, id }: FullManifest): string {
  return JSON.stringify([
    format,
    tree ?? null,
    tensors.map(({ name, dtype, shape, at }) => [name, dtype, shape, at]),
    chunks.map((chunk) => [chunk.id, chunk.size]),
    bytes,
    id ?? null,
  ])
}

/** Checks what was read from a document or a blob. @throws UNSUPPORTED for another version, INTEGRITY for anything malformed. */
export function checkManifest(value: unknown, target: string): Manifest {
  const at = { scheme: 'content', op: 'load', target }
  const fail = (what: string) => new HubError('INTEGRITY', `The content of ${target} is damaged: ${what}.`, { at })
  if (!isRecord(value)) throw fail('it is no object')
  if (value.v !== undefined && value.v !== 1)
    throw new HubError(
      'UNSUPPORTED',
      `The content of ${target} has format version ${JSON.stringify(value.v)}; upgrade tensorhub to read it.`,
      { at },
    )
  const m = value as Partial<FullManifest & ManifestRef>
  if (m.v !== 1 || typeof m.format !== 'string' || !isSize(m.bytes) || !isSize(m.stored))
    throw fail('its fields are not those of a manifest')
  if (m.manifest !== undefined) {
    const { manifest } = m
    if (!isRecord(manifest) || !isManifestKey(manifest.key) || !isId(manifest.id) || !isSize(manifest.size))
      throw fail('its reference is malformed')
    return m as ManifestRef
  }
  if (!Array.isArray(m.tensors) || !Array.isArray(m.chunks)) throw fail('it has no tensors or chunks')
  if (m.tree !== undefined && typeof m.tree !== 'string') throw fail('its tree is no text')
  if (m.inline !== undefined && (typeof m.inline !== 'string' || !isId(m.id)))
    throw fail('its inline value is malformed')
  if (!m.chunks.every(isChunk)) throw fail('a chunk is malformed')
  const names = new Set<string>()
  for (const tensor of m.tensors) {
    if (!isTensorEntry(tensor)) throw fail('a tensor is malformed')
    if (names.has(tensor.name)) throw fail(`the tensor '${tensor.name}' stands in it twice`)
    names.add(tensor.name)
    let size = 0
    for (const extent of tensor.at) {
      if (!isExtent(extent, m.chunks)) throw fail(`tensor '${tensor.name}' reaches beyond its chunk`)
      size += extent[2]
    }
    if (tensor.shape.reduce((product, n) => product * n, bytesOf(tensor.dtype)) !== size)
      throw fail(
        `tensor '${tensor.name}' has ${size} bytes, which does not fit ${tensor.dtype} [${tensor.shape.join(', ')}]`,
      )
  }
  return m as FullManifest
}

function isChunk(chunk: unknown): chunk is ManifestChunk {
  if (!isRecord(chunk) || !isId(chunk.id) || !isSize(chunk.size) || !isSize(chunk.stored)) return false
  const hex = chunk.id.slice('sha256:'.length)
  return (
    typeof chunk.key === 'string' &&
    chunk.key.startsWith(`c/${hex.slice(0, 2)}/${hex}-`) &&
    /^[0-9a-f]{8}\.[a-z0-9]+$/.test(chunk.key.slice(70)) &&
    (!chunk.key.endsWith('.raw') || chunk.stored === chunk.size) &&
    (chunk.crc === undefined || isSize(chunk.crc))
  )
}

function isTensorEntry(tensor: unknown): tensor is ManifestTensor {
  return (
    isRecord(tensor) &&
    typeof tensor.name === 'string' &&
    isDtype(tensor.dtype) &&
    Array.isArray(tensor.shape) &&
    tensor.shape.every(isSize) &&
    Array.isArray(tensor.at)
  )
}

function isExtent(extent: unknown, chunks: readonly ManifestChunk[]): extent is Extent {
  if (!Array.isArray(extent) || extent.length !== 3) return false
  const [chunk, offset, length]: readonly unknown[] = extent
  if (!isSize(chunk) || !isSize(offset) || !isSize(length)) return false
  const size = chunks[chunk]?.size
  return size !== undefined && offset + length <= size
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isManifestKey(key: unknown): boolean {
  return typeof key === 'string' && /^m\/[0-9A-HJKMNP-TV-Z]{26}\.json$/.test(key)
}

function isSize(n: unknown): n is number {
  return typeof n === 'number' && Number.isSafeInteger(n) && n >= 0
}

function isId(id: unknown): id is string {
  return typeof id === 'string' && /^sha256:[0-9a-f]{64}$/.test(id)
}
