import type { BlobCan, BlobDriver, BlobInfo } from '../../src/index.ts'

export const NOTHING: BlobCan = {
  ifAbsent: false,
  ifVersion: false,
  meta: false,
  copy: false,
  sign: false,
  partMin: 1,
  partMax: 100,
  partsMax: 10,
  sizeMax: 50,
  deleteMax: 3,
}
export const EVERYTHING: BlobCan = { ...NOTHING, ifAbsent: true, ifVersion: true, meta: true, copy: true, sign: true }

/** A driver that has every method, and records which were called with what. */
export function recordingBlobs(can: BlobCan, content = 'content') {
  const calls: [name: string, ...args: unknown[]][] = []
  const bytes = new TextEncoder().encode(content)
  const info = (key: string): BlobInfo => ({ key, size: bytes.byteLength, modified: new Date(0), version: 'v' })
  const driver: BlobDriver = {
    scheme: 'recording',
    can,
    async stat(key, o) {
      calls.push(['stat', key, o])
      return info(key)
    },
    async read(key, o) {
      calls.push(['read', key, o])
      const { offset = 0, length } = o.range ?? {}
      const part = bytes.slice(offset, length === undefined ? undefined : offset + length)
      return { info: info(key), body: new Blob([part]).stream() as ReadableStream<Uint8Array> }
    },
    async write(key, body, o) {
      const text = await new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>).text()
      calls.push(['write', key, text, o])
      return info(key)
    },
    async delete(keys, o) {
      calls.push(['delete', [...keys], o])
    },
    async *list(prefix, o) {
      calls.push(['list', prefix, o])
      yield info(`${prefix}x`)
    },
    async copy(from, to, o) {
      calls.push(['copy', from, to, o])
      return info(to)
    },
    async sign(key, o) {
      calls.push(['sign', key, o])
      return new URL(`https://example.com/${key}`)
    },
  }
  return { driver, calls }
}
