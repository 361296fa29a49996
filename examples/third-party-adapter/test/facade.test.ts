import { join } from 'node:path'
import { openBlobs, openIndex } from '@tensorhub/core'
import { TensorHub } from 'tensorhub'
import { facadeSuite } from '../../../packages/tensorhub/test/suite/facade-suite.ts'
import { newFolder, storesOf } from '../../../packages/tensorhub/test/suite/store-pair.ts'
import { oneFileBlobs, oneFileIndex } from '../src/index.ts'

facadeSuite({
  name: 'one file',
  async create() {
    const file = join(await newFolder(), 'experiment.hub')
    return storesOf({
      connect: (options) => TensorHub.connect({ ...options, index: oneFileIndex(file), blobs: oneFileBlobs(file) }),
      index: openIndex(oneFileIndex(file)),
      blobs: openBlobs(oneFileBlobs(file)),
    })
  },
})
