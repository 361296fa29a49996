// main.ts
import { TensorHub } from 'tensorhub'

const hub = await TensorHub.connect({ projectName: 'tutorial' }) // SQLite and files, in ./.tensorhub
const x = Float64Array.from({ length: 50 }, (_, i) => i / 50)
await hub.saveDataset({ x, y: x.map((value) => 3 * value) }, 'line', { version: '1.0' })

for (const rate of [0.001, 0.01, 0.1]) await hub.createTask('fit', 'train.ts', { hyperParameters: { rate } })
for (let run = await hub.runTopTask('fit'); run !== false; run = await hub.runTopTask('fit'))
  console.log(run.status, run.task.hyper_parameters, run.result)

const best = await hub.models.top('line has:loss sort:loss') // a query as text; { sort: { loss: 1 } } says the same
console.log(best?.model_name, best?.rate, await hub.findTopModel('line', { sort: { loss: 1 } }))
await hub.close()
