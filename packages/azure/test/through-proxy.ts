import { azure } from '@tensorhub/azure'
import { type BlobStore, openBlobs } from '@tensorhub/core'
import type { AzureServer } from '@tensorhub/servers'
import { type FaultProxy, type ProxyOptions, startProxy } from '@tensorhub/servers/proxy'
import type { AzureTransferOptions } from '../src/options.ts'
import { byKey, newContainer } from './containers.ts'

export interface Behind {
  readonly proxy: FaultProxy
  /** Through the proxy. */
  readonly blobs: BlobStore
  /** Past it. */
  readonly direct: BlobStore
  readonly container: string
  end(): Promise<void>
}

/** A new container, reached through a fault proxy and past it. */
export async function behindProxy(
  server: AzureServer,
  transfer: AzureTransferOptions = {},
  options: Omit<ProxyOptions, 'store'> = {},
): Promise<Behind> {
  const container = await newContainer(server)
  const proxy = await startProxy(server, { ...options, store: 'azure' })
  const known = byKey(server, container)
  const blobs = openBlobs(azure({ ...known, endpoint: proxy.through(server.endpoint), probe: false, ...transfer }))
  const direct = openBlobs(azure({ ...known, ...transfer, probe: false }))
  return {
    ...{ proxy, blobs, direct, container },
    async end() {
      await blobs.close()
      await direct.close()
      await proxy.close()
    },
  }
}

export const KIB = 1024

/** Bytes that differ from place to place. */
export function bytesOf(size: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(size)
  for (let i = 0, x = seed * 2654435761; i < size; i++) {
    x = (x * 1664525 + 1013904223) >>> 0
    bytes[i] = x >>> 24
  }
  return bytes
}

export function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
