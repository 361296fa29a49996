import { openBlobs, openBlobsUrl, openIndex, openIndexUrl } from '@tensorhub/core'
import type { BlobsName, IndexName } from '@tensorhub/servers/layers'
import { nameOfPair, type OpenPair, openPair } from '@tensorhub/servers/pairs'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { TensorHub } from 'tensorhub'
import { describe, expect, it } from 'vitest'
import { facadeSuite } from '../suite/facade-suite.ts'
import { atEnd, type StorePair, storesOf } from '../suite/store-pair.ts'
import { script } from '../tasks/script-folder.ts'

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

/** Everything the facade promises, on this pair. To be awaited at the top of a test file. */
export async function matrix(index: IndexName, blobs: BlobsName): Promise<void> {
  const pair = pairOf(index, blobs)
  await serverSuite(serversOf(index, blobs), `the hub on ${pair.name}`, () => {
    facadeSuite(pair)
    scriptsOf(pair)
  })
}

function scriptsOf(pair: StorePair): void {
  describe(`a task's process on ${pair.name}`, () => {
    it('opens the hub with the credentials of its runner, and finds none of them in its environment', async () => {
      const { connect } = await pair.create()
      const hub = await connect({ scripts: 'any' })
      await hub.saveDataset(new Float32Array(200_000).fill(0.5), 'd')
      await hub.createTask(
        't',
        await script(`
          export default async ({ hub }) => {
            const data = await hub.findTopDataset('d')
            await hub.saveModel({ weights: data.map((x) => x * 2) }, 'm')
            return { secrets: Object.keys(process.env).filter((name) => /^(AWS|GOOGLE|AZURE|STORAGE|TENSORHUB)/.test(name)) }
          }`),
      )
      expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', result: { secrets: [] } })
      expect(await hub.findTopModel('m')).toMatchObject({ weights: new Float32Array(200_000).fill(1) })
    })
  })
}
