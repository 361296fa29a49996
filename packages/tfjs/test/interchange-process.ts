/**
 * One process with one backend: `node interchange-process.ts BACKEND FOLDER save|load`. Saves a trained model under the backend's name, or loads every
 * model of the hub; prints for each, as one line of JSON, its name, a digest of every weight's bytes, and what it predicts.
 */
import { createHash } from 'node:crypto'
import type { LayersModel, Tensor } from '@tensorflow/tfjs'
import { TensorHub } from 'tensorhub'
import { type Backend, loadTf } from '../src/index.ts'

const [, , backend, folder = '', what] = process.argv
const { tf } = await loadTf<typeof import('@tensorflow/tfjs')>({ prefer: backend as Backend, log: () => {} })
await using hub = await TensorHub.connect(folder, { projectName: 'interchange' })
const input = tf.tensor2d(
  Float32Array.from({ length: 24 }, (_, i) => Math.sin(i)),
  [4, 6],
)

async function print(name: string, model: LayersModel): Promise<void> {
  const weights = await Promise.all(model.getWeights().map((weight) => weight.data()))
  const digests = weights.map((data) => createHash('sha256').update(new Uint8Array(data.slice().buffer)).digest('hex'))
  const predicted = [...(await (model.predict(input) as Tensor).data())]
  console.log(JSON.stringify({ name, digests, predicted }))
}

if (what === 'save') {
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: 8, activation: 'tanh', inputShape: [6] }),
      tf.layers.batchNormalization(),
      tf.layers.dense({ units: 3, activation: 'softmax' }),
    ],
  })
  model.compile({ optimizer: 'adam', loss: 'categoricalCrossentropy' })
  await model.fit(input, tf.oneHot([0, 1, 2, 0], 3), { epochs: 3, verbose: 0 })
  await hub.saveModel(model, backend as string)
  await print(backend as string, model)
} else {
  for await (const record of hub.models.find({})) {
    await print(record.model_name, (await hub.findTopModel(record.model_name)) as LayersModel)
  }
}
