import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TensorHub } from 'tensorhub'

/** The ways through the packages that need files beside the importing one: worker threads, child processes, optional packages. */
const folder = await mkdtemp(join(tmpdir(), 'tensorhub packed '))
const hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'packed' })
try {
  // Above 64 MiB the hashes come from worker threads.
  const big = new Float32Array(20 * 1024 * 1024).map((_, i) => i)
  await hub.saveDataset({ big, labels: [1, 2, 3] }, 'big')
  const back = await hub.findTopDataset('big')
  assert.equal(back.big.length, big.length)
  assert.equal(back.big[12345], 12345)

  await hub.saveModel({ architecture: { layers: 1 }, weights: { w: new Float32Array([1, 2]) } }, 'mlp', {
    accuracy: 0.8,
  })
  const model = await hub.findTopModel('mlp', { sort: [['accuracy', -1]] })
  assert.equal(model._accuracy, 0.8)

  // A sort that no index serves over many documents runs on a worker's connection.
  await Promise.all(Array.from({ length: 1500 }, (_, i) => hub.saveTrainingLog({ loss: i % 97, step: i })))
  assert.equal((await hub.logs.find({ kind: 'training' }, { sort: { loss: -1 }, limit: 3 }).toArray())[0].loss, 96)

  const script = join(folder, 'script.ts')
  await writeFile(join(folder, 'double.ts'), 'export const double = (n: number): number => 2 * n\n')
  await writeFile(
    script,
    `import { task } from 'tensorhub/task'
     import { double } from './double.ts'
     export default async () => {
       await task.hub.saveTestingLog({ accuracy: 0.5 })
       return { doubled: double(task.hyperParameters.n as number) }
     }\n`,
  )
  await hub.createTask('t', script, { hyperParameters: { n: 21 }, savedResultKeys: ['doubled'] })
  const outcome = await hub.runTopTask('t')
  assert.equal(outcome.status, 'finished', JSON.stringify(outcome))
  assert.deepEqual(outcome.result, { doubled: 42 })
  assert.equal((await hub.findTestingLogs({ accuracy: 0.5 })).length, 1)

  await hub.deleteDatasets()
  const report = await hub.check({ readData: true })
  assert.deepEqual(report.problems ?? [], [])
} finally {
  await hub.close()
  await rm(folder, { recursive: true, force: true })
}
console.log('all of it worked')
