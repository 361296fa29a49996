import { startMongo } from '@tensorhub/servers'
import { BLOBS, type BlobsName, type OpenLayer } from '@tensorhub/servers/layers'
import { type FaultProxy, type Line, startProxy } from '@tensorhub/servers/proxy'
import { type ConnectOptions, TensorHub } from '../../src/index.ts'

/** The blob stores that lie behind a line. */
export const FAR_BLOBS = ['gridfs', 's3', 'gcs', 'azure'] as const satisfies readonly BlobsName[]
export type FarBlobs = (typeof FAR_BLOBS)[number]

/** An index on MongoDB and a blob store, each behind a proxy of its own (GridFS: behind the index's, as one URL). */
export interface ProxiedStores {
  readonly index: FaultProxy
  /** The index's own where both are one URL. */
  readonly blobs: FaultProxy
  /** Both; one where they are the same. */
  readonly proxies: readonly FaultProxy[]
  /** Two new and empty stores. */
  newUrls(): Promise<StoreUrls>
  connect(urls: StoreUrls, options?: Partial<ConnectOptions>): Promise<TensorHub>
  close(): Promise<void>
}

export interface StoreUrls {
  readonly index: string
  readonly blobs: string
}

export interface ProxiedOptions extends Partial<Line> {
  readonly standalone?: boolean
  /** More parameters of MongoDB's URL. */
  readonly mongo?: Readonly<Record<string, string>>
  /** `timeout` of both stores, in ms. */
  readonly timeout?: number
}

/** Starts the servers and the proxies. */
export async function proxiedStores(name: FarBlobs, options: ProxiedOptions = {}): Promise<ProxiedStores> {
  const { standalone = false, mongo = {}, timeout, ...line } = options
  const closing: (() => Promise<void>)[] = []
  const close = async () => {
    for (const end of closing.splice(0).reverse()) await end()
  }
  try {
    const server = await startMongo(standalone ? { standalone } : {})
    closing.push(server.stop)
    const index = await startProxy(server, { protocol: 'mongodb', ...line })
    closing.push(index.close)
    const silence = timeout === undefined ? {} : { timeout: String(timeout) }
    const parameters = new URLSearchParams({ directConnection: 'true', ...mongo, ...silence })
    const indexUrl = () => `${index.through(server.urlOf(`lines${process.pid}x${++databases}`))}?${parameters}`
    if (name === 'gridfs') {
      const newUrls = async () => {
        const url = indexUrl()
        return { index: url, blobs: url }
      }
      return { index, blobs: index, proxies: [index], newUrls, connect, close }
    }
    const layer: OpenLayer = await BLOBS[name].open()
    closing.push(layer.close)
    const target = layer.server as NonNullable<OpenLayer['server']>
    const blobs = await startProxy(target, { store: name, ...line })
    closing.push(blobs.close)
    if (name === 'azure')
      process.env['AZURE_STORAGE_CONNECTION_STRING'] = blobs.through(
        process.env['AZURE_STORAGE_CONNECTION_STRING'] as string,
      )
    if (name === 'gcs' && process.env['STORAGE_EMULATOR_HOST'] !== undefined)
      process.env['STORAGE_EMULATOR_HOST'] = blobs.through(process.env['STORAGE_EMULATOR_HOST'])
    const address = (port: number) => encodeURIComponent(`127.0.0.1:${port}`)
    const newUrls = async () => {
      const there = (await layer.newUrl()).replaceAll(address(target.port), address(blobs.port))
      const more = new URLSearchParams(silence).toString()
      return { index: indexUrl(), blobs: more === '' ? there : `${there}${there.includes('?') ? '&' : '?'}${more}` }
    }
    return { index, blobs, proxies: [index, blobs], newUrls, connect, close }
  } catch (error) {
    await close()
    throw error
  }
}

let databases = 0

function connect(urls: StoreUrls, options: Partial<ConnectOptions> = {}): Promise<TensorHub> {
  const given = { projectName: 'tutorial', ...options }
  return urls.index === urls.blobs ? TensorHub.connect(urls.index, given) : TensorHub.connect({ ...given, ...urls })
}
