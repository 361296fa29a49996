import { isHubError } from '@tensorhub/core'
import { type AzureServer, startAzure } from '@tensorhub/servers'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Behind, behindProxy, KIB } from './through-proxy.ts'

let server: AzureServer
let behind: Behind
beforeAll(async () => {
  server = await startAzure()
  behind = await behindProxy(server, { partSize: 64 * KIB, timeout: 30_000 })
})
afterAll(async () => {
  await behind.end()
  await server.stop()
})

/** Azurite writes its index of blobs to the disk every five seconds (Loki's autosave): the container itself would be gone before. */
const AUTOSAVE = 6000

/** One letter throughout, which its size says. */
const bodyOf = (n: number) => new Uint8Array(10_000 + n * 1017).fill(97 + ((10_000 + n * 1017) % 26))

it('SIGKILL and restart of the server under load, thrice: writers go on by themselves, and nothing is ever half there', async () => {
  const { blobs } = behind
  await new Promise((resolve) => setTimeout(resolve, AUTOSAVE))
  let stop = false
  const outcomes = { written: 0, failed: 0 }
  const writer = async (name: string) => {
    for (let n = 0; !stop; n = (n + 1) % 400) {
      try {
        await blobs.write(`${name}/${n}`, bodyOf(n))
        outcomes.written++
      } catch (error) {
        // Only what says of itself that it may pass.
        if (!isHubError(error) || !(error.retryable || error.code === 'UNKNOWN')) throw error
        outcomes.failed++
      }
    }
  }
  const reader = async () => {
    let whole = 0
    while (!stop) {
      try {
        for await (const { key, size } of blobs.list('', { limit: 20 })) {
          const bytes = await blobs.bytes(key)
          if (bytes.byteLength === size) whole++
          expect(bytes.every((byte) => byte === 97 + (bytes.byteLength % 26))).toBe(true)
        }
      } catch (error) {
        // What Azurite had not saved yet is gone after its kill; the service keeps what it acknowledged.
        if (!isHubError(error) || !(error.retryable || ['NOT_FOUND', 'INTEGRITY'].includes(error.code))) throw error
      }
    }
    return whole
  }
  const work = [...['a', 'b', 'c', 'd'].map(writer), reader()]
  try {
    for (let round = 0; round < 3; round++) {
      const before = outcomes.written
      await expect.poll(() => outcomes.written, { timeout: 120_000 }).toBeGreaterThan(before + 40)
      await server.kill()
      await new Promise((resolve) => setTimeout(resolve, 300))
      await server.start()
    }
    const after = outcomes.written
    await expect.poll(() => outcomes.written, { timeout: 120_000 }).toBeGreaterThan(after + 40)
  } finally {
    stop = true
    await Promise.all(work)
  }
  let seen = 0
  for await (const { key, size } of blobs.list('')) {
    const bytes = await blobs.bytes(key).catch((error: unknown) => {
      throw new Error(`${key} is listed with ${size} bytes: ${String(error)}`)
    })
    expect(bytes.byteLength).toBe(size)
    expect(bytes.every((byte) => byte === 97 + (size % 26))).toBe(true)
    seen++
  }
  expect(seen).toBeGreaterThan(0)
})
