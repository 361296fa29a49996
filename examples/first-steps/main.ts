// main.ts
import { TensorHub } from 'tensorhub'

// In the folder .tensorhub, or where the environment says. Its tasks are our own, so any script of it may run here.
const hub = await TensorHub.connect({ projectName: 'tutorial', scripts: 'any' })
const x = Float64Array.from({ length: 50 }, (_, i) => i / 50)
await hub.saveDataset({ x, y: x.map((value) => 3 * value) }, 'line', { version: '1.0' })

for (const rate of [0.001, 0.01, 0.1]) {
  await hub.createTask('fit', 'train.ts', { hyperParameters: { rate } })
}
for (let run = await hub.runTopTask('fit'); run; run = await hub.runTopTask('fit')) {
  console.log(run.status, run.task.hyper_parameters, run.result)
}

const best = await hub.models.top('line has:loss sort:loss') // a query, as text
const model = await hub.findTopModel('line', { sort: { loss: 1 } }) // the same, as an object
console.log(best?.model_name, best?.rate, model)
await hub.close()
