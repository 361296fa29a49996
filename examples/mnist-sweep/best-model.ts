import type { LayersModel, Tensor } from '@tensorflow/tfjs'
import { loadTf, toTf } from '@tensorhub/tfjs'
import type { TensorHub } from 'tensorhub'
import { drawDigits } from './draw.ts'
import { type Digits, PIXELS } from './mnist.ts'
import { MODEL } from './plan.ts'

/** How many digits are drawn. */
const DRAWN = 6

/** Loads the best model as any service would, by a query, lets it read some of the digits, and draws them. */
export async function readDigitsWithBest(hub: TensorHub, { images, labels }: Digits): Promise<void> {
  // The line that says which backend was picked stands with the results of the tasks already.
  const { tf } = await loadTf<typeof import('@tensorflow/tfjs')>({ log: () => {} })
  const start = performance.now()
  const model = (await hub.findTopModel({ modelName: MODEL, sort: [['test_accuracy', -1]] })) as
    | (LayersModel & { _name: string; _test_accuracy: number })
    | false
  if (model === false) {
    console.log('\n● The hub has no model, since no task came so far as to save one.')
    return
  }
  const seconds = ((performance.now() - start) / 1000).toFixed(1)
  console.log(
    `\n● Loaded the best model from the hub in ${seconds} s: ${model._name}, test accuracy ${model._test_accuracy.toFixed(4)}. It reads:`,
  )

  const first = Math.floor(Math.random() * (labels.data.length - DRAWN))
  const pixels = images.data.subarray(first * PIXELS, (first + DRAWN) * PIXELS)
  const input = toTf(tf, { dtype: 'uint8', shape: [DRAWN, PIXELS], data: pixels }) as Tensor
  const output = model.predict(tf.div(input, 255)) as Tensor
  const probabilities = (await output.array()) as number[][]
  const captions = probabilities.map((row, i) => {
    const read = row.indexOf(Math.max(...row))
    const truth = labels.data[first + i]
    return `${read} (${Math.round((row[read] ?? 0) * 100)} %)${read === truth ? '' : ` not ${truth}!`}`
  })
  const drawn = Array.from({ length: DRAWN }, (_, i) => pixels.subarray(i * PIXELS, (i + 1) * PIXELS))
  console.log(`\n${drawDigits(drawn, captions, process.stdout.columns ?? 100)}`)
}
