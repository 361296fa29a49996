// train.ts
import type { Task } from 'tensorhub'

export default async ({ hub, hyperParameters }: Task) => {
  const { x, y } = (await hub.findTopDataset('line')) as { x: Float64Array; y: Float64Array }
  const { rate } = hyperParameters as { rate: number }
  let slope = 0
  for (let epoch = 0; epoch < 20; epoch++) for (const i of x.keys()) slope -= rate * (slope * x[i]! - y[i]!) * x[i]!
  const loss = x.reduce((sum, xi, i) => sum + (slope * xi - y[i]!) ** 2, 0) / x.length
  await hub.saveModel({ slope }, 'line', { rate, loss })
  return { loss }
}
