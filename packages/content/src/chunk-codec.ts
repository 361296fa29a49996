import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import * as zlib from 'node:zlib'
import { HubError } from '@tensorhub/core'

/** How a chunk's bytes are stored; the codec is the key's ending. */
export type Codec = 'raw' | 'zstd'

/**
 * Bytes that are tried, from the middle, before a chunk is compressed whole; and the part of their size they must get below. Trained float32 weights
 * shrink to 0.84–0.93: not worth the time.
 */
const PROBE = 64 * 1024
const WORTH = 0.75
/** Level 3 never paid off (measured; docs/architecture.md). */
const LEVEL = 1

const compress = typeof zlib.zstdCompress === 'function' ? promisify(zlib.zstdCompress) : undefined
const decompress = typeof zlib.zstdDecompress === 'function' ? promisify(zlib.zstdDecompress) : undefined
const options = { params: { [zlib.constants.ZSTD_c_compressionLevel]: LEVEL } }

/** A key that was never used before: `c/<2 hex>/<hex>-<8 random>.<codec>`. */
export function freshKey(id: string, codec: Codec): string {
  const hex = id.slice('sha256:'.length)
  return `c/${hex.slice(0, 2)}/${hex}-${randomBytes(4).toString('hex')}.${codec}`
}

/** Compresses where a probe says it pays. The raw bytes are given back as they are, not copied. */
export async function encodeChunk(raw: Uint8Array): Promise<{ readonly codec: Codec; readonly bytes: Uint8Array }> {
  if (compress === undefined || raw.byteLength < 1024) return { codec: 'raw', bytes: raw }
  const start = Math.max(0, Math.floor((raw.byteLength - PROBE) / 2))
  const probe = raw.subarray(start, start + PROBE)
  if (zlib.zstdCompressSync(probe, options).byteLength > probe.byteLength * WORTH) return { codec: 'raw', bytes: raw }
  const bytes = await compress(raw, options)
  return bytes.byteLength > raw.byteLength * WORTH ? { codec: 'raw', bytes: raw } : { codec: 'zstd', bytes }
}

/** The codec of a stored key. @throws UNSUPPORTED for one this version does not know. */
export function codecOf(key: string): Codec {
  const ending = key.slice(key.lastIndexOf('.') + 1)
  if (ending === 'raw' || ending === 'zstd') return ending
  throw new HubError('UNSUPPORTED', `The chunk '${key}' has the unknown codec '${ending}'; upgrade tensorhub.`, {
    at: { scheme: 'content', op: 'load', target: key },
  })
}

/** Decompresses to exactly `size` bytes; never more memory than that, whatever the stored bytes say. @throws INTEGRITY */
export async function decodeChunk(stored: Uint8Array, size: number, key: string): Promise<Uint8Array> {
  const at = { scheme: 'content', op: 'load', target: key }
  if (decompress === undefined)
    throw new HubError('UNSUPPORTED', `Reading '${key}' needs zstd, which Node has from 22.15 on.`, { at })
  try {
    return await decompress(stored, { maxOutputLength: Math.max(size, 1) })
  } catch (cause) {
    throw new HubError('INTEGRITY', `The chunk '${key}' is damaged: it does not decompress to ${size} bytes.`, {
      at,
      cause,
    })
  }
}
