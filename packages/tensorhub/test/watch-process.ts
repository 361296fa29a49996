import { TensorHub } from '../src/index.ts'

/** Watches and does nothing else: prints the first event of the logs of the hub at argv[2], and ends. */
const target = process.argv[2] as string
const hub = await TensorHub.connect(target, { projectName: 'tutorial' })
// Nobody else reaches a hub in memory. An unreferenced timer comes only while something else keeps the process alive.
if (target === 'memory:') setInterval(() => hub.saveTrainingLog({}), 500).unref()
for await (const event of hub.logs.watch()) {
  console.log(event.op)
  break
}
