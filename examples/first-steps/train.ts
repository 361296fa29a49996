// train.ts
import type { Task } from 'tensorhub'

type Line = { x: Float64Array; y: Float64Array }

export default async ({ hub, hyperParameters }: Task) => {
  const { x, y } = (await hub.findTopDataset('line')) as Line
  const rate = hyperParameters.rate as number
  let [slope, loss] = [0, 0]
  for (let epoch = 0; epoch < 20; epoch++) {
    loss = 0
    for (const [i, xi] of x.entries()) {
      const error = slope * xi - y[i]!
      slope -= rate * error * xi
      loss += error ** 2 / x.length
    }
  }
  await hub.saveModel({ slope }, 'line', { rate, loss })
  return { loss }
}
