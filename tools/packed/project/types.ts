import { blobConformance, type Runner } from '@tensorhub/conformance'
import { ContentStore } from '@tensorhub/content'
import { isHubError, parseFilter } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { memoryIndex } from '@tensorhub/memory'
import { sqlite } from '@tensorhub/sqlite'
import { tfjs } from '@tensorhub/tfjs'
import { type ModelRecord, TensorHub } from 'tensorhub'
import { task } from 'tensorhub/task'

/** Compiled, never run: every entry's declarations, without the declarations of any cloud's or TensorFlow's package. */
export async function used(): Promise<void> {
  await using hub = await TensorHub.connect({
    index: sqlite({ file: 'index.db' }),
    blobs: fs({ folder: 'blobs' }),
    projectName: 'p',
    codecs: [tfjs()],
  })
  const record: ModelRecord = await hub.models.save('mlp', { weights: new Float32Array(3) }, { accuracy: 0.5 })
  const top = await hub.models.top({ accuracy: { $gte: 0.5 } }, { sort: { accuracy: -1 } })
  if (top !== undefined && top._id === record._id) await hub.saveTrainingLog({ loss: 0.1 })
  // @ts-expect-error an operator that does not exist
  await hub.models.top({ accuracy: { $greater: 0.5 } })
  // @ts-expect-error a project name must be text
  await TensorHub.connect({ projectName: 7 })
  task.log(task.hyperParameters['units'])
  const runner: Runner | undefined = undefined
  console.log(
    parseFilter({ a: 1 }),
    isHubError(new Error('x'), 'INVALID'),
    blobConformance,
    ContentStore,
    memoryIndex(),
    runner,
  )
}
