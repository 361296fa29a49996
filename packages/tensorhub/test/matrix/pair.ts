import { openBlobs, openBlobsUrl, openIndex, openIndexUrl } from '@tensorhub/core'
import type { BlobsName, IndexName } from '@tensorhub/servers/layers'
import { nameOfPair, type OpenPair, openPair } from '@tensorhub/servers/pairs'
import { TensorHub } from 'tensorhub'
import { facadeSuite } from '../suite/facade-suite.ts'
import { atEnd, type StorePair, storesOf } from '../suite/store-pair.ts'

const load = (name: string) => import(name)

/** Two layers named by URLs alone; their servers live as long as the test file. */
export function pairOf(index: IndexName, blobs: BlobsName): StorePair {
  let opened: Promise<OpenPair> | undefined
  return {
    name: nameOfPair(index, blobs),
    async create() {
      opened ??= openPair(index, blobs).then((pair) => {
        atEnd(pair.close)
        return pair
      })
      const urls = await (await opened).newHub()
      return storesOf({
        connect: (options) =>
          urls.index === urls.blobs
            ? TensorHub.connect(urls.index, options)
            : TensorHub.connect({ ...options, ...urls }),
        index: openIndex(await openIndexUrl(urls.index, { load })),
        blobs: openBlobs(await openBlobsUrl(urls.blobs, { load })),
      })
    },
  }
}

/** Everything the facade promises, on this pair. */
export function matrix(index: IndexName, blobs: BlobsName): void {
  facadeSuite(pairOf(index, blobs))
}
