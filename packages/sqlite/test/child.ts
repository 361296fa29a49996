/** A process of its own on a file: `node child.ts FILE insert|take NAME`. Prints the `_id` of each write once it is acknowledged. */
import { writeSync } from 'node:fs'
import { IndexStore, isHubError, parseFilter } from '@tensorhub/core'
import { sqlite } from '../src/index.ts'

const [file = '', mode = '', name = ''] = process.argv.slice(2)
const store = new IndexStore(sqlite({ file }))
const acknowledged = (id: string) => writeSync(1, `${id}\n`)

if (mode === 'insert') {
  for (let i = 0; ; i++) {
    // Alone and in groups, so that kills meet both.
    const ids = Array.from({ length: i % 3 === 0 ? 20 : 1 }, (_, j) => `${name}-${i}-${j}`)
    try {
      await Promise.all(
        ids.map((_id) => store.insert('c', [{ _id, text: 'x'.repeat(500) }]).then(() => acknowledged(_id))),
      )
    } catch (error) {
      if (!isHubError(error)) throw error
      writeSync(1, `error ${error.code}\n`)
      break
    }
  }
} else if (mode === 'take') {
  for (;;) {
    const doc = await store.takeOne(
      'tasks',
      parseFilter({ status: 'pending' }),
      { set: { status: 'running', runner: name }, inc: { attempts: 1 } },
      { order: [{ path: ['priority'], dir: -1 }] },
    )
    if (doc === null) break
    acknowledged(doc._id)
  }
}
await store.close()
