import { createInterface } from 'node:readline'
import { isHubError } from '@tensorhub/core'
import { TensorHub } from '../../src/index.ts'

/**
 * A process that opens hubs on request: each line of its input is `{ folder, uid? }`. It drops to that user first, then connects, saves a dataset and
 * reads it, and answers with one line of JSON: `{ ok: true, canIfAbsent }`, or the error's `{ code, message }`.
 */
console.log('ready')
for await (const line of createInterface({ input: process.stdin })) {
  const { folder, uid } = JSON.parse(line) as { folder: string; uid?: number }
  if (uid !== undefined) {
    process.setgid?.(uid)
    process.setuid?.(uid)
  }
  console.log(JSON.stringify(await use(folder)))
}

async function use(folder: string): Promise<object> {
  try {
    await using hub = await TensorHub.connect(folder, { projectName: 'tutorial' })
    const value = { pid: process.pid, data: new Float32Array(50_000).fill(process.pid) }
    const { _id } = await hub.saveDataset(value, 'of a process')
    const handle = await hub.datasets.open<typeof value>(_id)
    const read = await handle?.load()
    return { ok: read?.pid === process.pid && read.data.length === 50_000 }
  } catch (error) {
    return isHubError(error)
      ? { code: error.code, message: error.message }
      : { code: 'NOT A HUB ERROR', message: String(error) }
  }
}
