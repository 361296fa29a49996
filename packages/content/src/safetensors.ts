import { HubError } from '@tensorhub/core'
import { bytesOf, type Dtype, dtypeOfSafetensors, safetensorsName } from './dtypes.ts'
import { repeatedKey } from './json-keys.ts'
import { decodeValue, type EncodedTensor, type EncodedValue, encodeValue } from './value-codec.ts'

/** The key of `__metadata__` under which the JSON tree stands. */
export const TREE = 'tensorhub.tree'
/** https://github.com/huggingface/safetensors refuses headers beyond 100 MB; so do we. */
const MAX_HEADER = 100_000_000
/** Data begins at a multiple of this, so that every view is aligned and memory-mapping works. */
const ALIGN = 64

/** A value as one safetensors file: tensors `t/0`, `t/1` …, and the tree in `__metadata__`. Python's `safetensors` reads it. */
export function encodeSafetensors(value: unknown): Uint8Array {
  return packSafetensors(encodeValue(value))
}

/** What {@link encodeSafetensors} gave, or any other safetensors file: that comes back as `{ name: tensor, … }`. Views, not copies. */
export function decodeSafetensors(file: Uint8Array): unknown {
  const { tensors, metadata } = parseSafetensors(file)
  const tree = metadata[TREE]
  if (tree === undefined) {
    return Object.fromEntries([...tensors].map(([name, t]) => [name, decodeValue('{"$t":"x","as":"tensor"}', () => t)]))
  }
  return decodeValue(tree, (name) => {
    const found = tensors.get(name)
    if (found === undefined) throw hostile(`names the tensor '${name}', which is not in the file`)
    return found
  })
}

/** Lays an encoded value out as a file. */
export function packSafetensors({ tree, tensors }: EncodedValue): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { [TREE]: tree } }
  let offset = 0
  const placed: { readonly tensor: EncodedTensor; readonly at: number }[] = []
  // Wide elements first, so that each begins at a multiple of its size without holes (holes are refused by the reference reader).
  for (const tensor of [...tensors].sort((a, b) => bytesOf(b.dtype) - bytesOf(a.dtype))) {
    header[tensor.name] = {
      dtype: safetensorsName(tensor.dtype),
      shape: tensor.shape,
      data_offsets: [offset, offset + tensor.bytes.byteLength],
    }
    placed.push({ tensor, at: offset })
    offset += tensor.bytes.byteLength
  }
  const json = new TextEncoder().encode(JSON.stringify(header))
  const headerSize = Math.ceil((json.byteLength + 8) / ALIGN) * ALIGN - 8
  if (headerSize > MAX_HEADER)
    throw new HubError(
      'INVALID',
      `The value's structure takes ${headerSize} bytes; a safetensors header has at most ${MAX_HEADER}.`,
      { at: { scheme: 'content', op: 'encode' } },
    )
  const file = new Uint8Array(8 + headerSize + offset)
  new DataView(file.buffer).setBigUint64(0, BigInt(headerSize), true)
  file.set(json, 8)
  file.fill(0x20, 8 + json.byteLength, 8 + headerSize)
  for (const { tensor, at } of placed) file.set(tensor.bytes, 8 + headerSize + at)
  return file
}

/**
 * Reads a file's header and gives views of its tensors. Everything in the header is checked against the file before it is used.
 *
 * @throws INTEGRITY for a header that is too long, no JSON, says anything twice, has overlapping or missing ranges, sizes that do not fit dtype and
 *   shape, or reaches beyond the file; UNSUPPORTED for an element type that came after this version.
 */
export function parseSafetensors(file: Uint8Array): {
  readonly tensors: ReadonlyMap<
    string,
    { readonly dtype: Dtype; readonly shape: readonly number[]; readonly bytes: Uint8Array }
  >
  readonly metadata: Readonly<Record<string, string>>
} {
  if (file.byteLength < 8) throw hostile('is shorter than its header length')
  const length = new DataView(file.buffer, file.byteOffset, 8).getBigUint64(0, true)
  if (length > BigInt(MAX_HEADER)) throw hostile(`says its header has ${length} bytes; at most ${MAX_HEADER}`)
  const headerSize = Number(length)
  if (8 + headerSize > file.byteLength) throw hostile('says its header reaches beyond the file')
  const header = parseHeader(file.subarray(8, 8 + headerSize))
  const size = file.byteLength - 8 - headerSize
  const metadata: Record<string, string> = Object.create(null) as Record<string, string>
  const tensors = new Map<
    string,
    { readonly dtype: Dtype; readonly shape: readonly number[]; readonly bytes: Uint8Array }
  >()
  const ranges: [number, number][] = []
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') {
      if (!isRecord(entry)) throw hostile('has a __metadata__ that is no object')
      for (const [key, text] of Object.entries(entry)) {
        if (typeof text !== 'string') throw hostile('has metadata that is no text')
        Object.defineProperty(metadata, key, { value: text, enumerable: true })
      }
      continue
    }
    const { dtype, shape, begin, end } = checkEntry(name, entry, size)
    ranges.push([begin, end])
    tensors.set(name, { dtype, shape, bytes: file.subarray(8 + headerSize + begin, 8 + headerSize + end) })
  }
  ranges.sort((a, b) => a[0] - b[0] || a[1] - b[1])
  let at = 0
  for (const [begin, end] of ranges) {
    if (begin !== at) throw hostile(begin < at ? 'has tensors that overlap' : 'has a hole between tensors')
    at = end
  }
  if (at !== size) throw hostile('has bytes after its last tensor')
  return { tensors, metadata }
}

function parseHeader(bytes: Uint8Array): Record<string, unknown> {
  let text: string
  let parsed: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    parsed = JSON.parse(text)
  } catch (cause) {
    throw hostile('has a header that is no JSON', cause)
  }
  const twice = repeatedKey(text)
  if (twice !== undefined) throw hostile(`has '${twice}' twice in its header`)
  if (!isRecord(parsed)) throw hostile('has a header that is no object')
  return parsed
}

function checkEntry(
  name: string,
  entry: unknown,
  size: number,
): { dtype: Dtype; shape: readonly number[]; begin: number; end: number } {
  if (!isRecord(entry)) throw hostile(`has a bad entry '${name}'`)
  const dtype = dtypeOfSafetensors(entry.dtype)
  if (dtype === undefined)
    throw new HubError(
      'UNSUPPORTED',
      `The safetensors data has tensor '${name}' of the element type ${JSON.stringify(entry.dtype)}, which this version does not know.`,
      { at: { scheme: 'content', op: 'decode' }, reason: 'DTYPE' },
    )
  const { shape, data_offsets: offsets } = entry
  const whole = (n: unknown): n is number => typeof n === 'number' && Number.isSafeInteger(n) && n >= 0
  if (!Array.isArray(shape) || !shape.every(whole)) throw hostile(`has tensor '${name}' with a bad shape`)
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(whole))
    throw hostile(`has tensor '${name}' with bad offsets`)
  const [begin, end] = offsets as [number, number]
  if (begin > end || end > size) throw hostile(`has tensor '${name}' beyond the file`)
  const elements = (shape as number[]).reduce((product, n) => product * n, 1)
  if (!Number.isSafeInteger(elements) || elements * bytesOf(dtype) !== end - begin)
    throw hostile(`has tensor '${name}' whose size does not fit its shape`)
  return { dtype, shape: shape as number[], begin, end }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function hostile(what: string, cause?: unknown): HubError {
  return new HubError('INTEGRITY', `The safetensors data ${what}.`, {
    at: { scheme: 'content', op: 'decode' },
    ...(cause === undefined ? {} : { cause }),
  })
}
