import { openBlobs, openBlobsUrl, openIndex, openIndexUrl } from '@tensorhub/core'
import { BLOBS, type BlobsName, INDEXES, type IndexName, type Layer, type OpenLayer } from '@tensorhub/servers/layers'
import { TensorHub } from 'tensorhub'
import { describe } from 'vitest'
import { facadeSuite } from '../suite/facade-suite.ts'
import { atEnd, type StorePair, storesOf } from '../suite/store-pair.ts'

const load = (name: string) => import(name)

/** Two layers, each named by a URL alone; their servers live as long as the test file. */
export function pairOf(index: IndexName, blobs: BlobsName): StorePair {
  const layers: readonly [Layer, Layer] = [INDEXES[index], BLOBS[blobs]]
  let opened: Promise<OpenLayer[]> | undefined
  return {
    name: `${layers[0].name} and ${layers[1].name}`,
    async create() {
      opened ??= Promise.all(
        layers.map(async (layer) => {
          const store = await layer.open()
          atEnd(store.close)
          return store
        }),
      )
      const [indexUrl, blobsUrl] = (await Promise.all((await opened).map((layer) => layer.newUrl()))) as [
        string,
        string,
      ]
      return storesOf({
        connect: (options) => TensorHub.connect({ ...options, index: indexUrl, blobs: blobsUrl }),
        index: openIndex(await openIndexUrl(indexUrl, { load })),
        blobs: openBlobs(await openBlobsUrl(blobsUrl, { load })),
      })
    },
  }
}

/** Everything the facade promises, on this pair. */
export function matrix(index: IndexName, blobs: BlobsName): void {
  describe('matrix', () => facadeSuite(pairOf(index, blobs)))
}
