import { BLOBS, type BlobsName, INDEXES, type IndexName, type Layer, type LayerNeeds } from './layers.ts'
import type { RunningServer } from './server.ts'

/** Every pair of index and blob store that runs here. */
export const PAIRS: readonly (readonly [IndexName, BlobsName])[] = (['sqlite', 'mongodb'] as const).flatMap((index) =>
  (['fs', 'gridfs', 's3', 'gcs', 'azure'] as const).map((blobs) => [index, blobs] as const),
)

/** How tests and tables name a pair. */
export function nameOfPair(index: IndexName, blobs: BlobsName): string {
  return `${INDEXES[index].name} and ${BLOBS[blobs].name}`
}

export interface OpenPair {
  /** Two empty stores; MongoDB and GridFS are one URL, as most people have them. */
  newHub(): Promise<{ readonly index: string; readonly blobs: string }>
  readonly servers: { readonly index?: RunningServer; readonly blobs?: RunningServer }
  close(): Promise<void>
}

/** Starts what a pair needs. */
export async function openPair(index: IndexName, blobs: BlobsName, o: LayerNeeds = {}): Promise<OpenPair> {
  if (index === 'mongodb' && blobs === 'gridfs') {
    const { newUrl, server, close } = await INDEXES.mongodb.open()
    const newHub = async () => {
      const url = await newUrl()
      return { index: url, blobs: url }
    }
    return { newHub, servers: { index: server, blobs: server }, close }
  }
  const layers: readonly [Layer, Layer] = [INDEXES[index], BLOBS[blobs]]
  const one = await layers[0].open(o)
  const two = await layers[1].open(o).catch(async (error: unknown) => {
    await one.close()
    throw error
  })
  return {
    newHub: async () => ({ index: await one.newUrl(), blobs: await two.newUrl() }),
    servers: { ...(one.server && { index: one.server }), ...(two.server && { blobs: two.server }) },
    async close() {
      await one.close()
      await two.close()
    },
  }
}
