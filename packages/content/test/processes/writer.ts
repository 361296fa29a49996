// Saves and deletes documents made of the same twenty contents until told to stop: `node writer.ts FOLDER NAME SCALE SEED`. A line on standard input ends
// it. Prints `{ saved, pick }` and `{ asked }`, `{ deleted }` as JSON lines.
import { randomUUID } from 'node:crypto'
import { writeSync } from 'node:fs'
import { isHubError } from '@tensorhub/core'
import { openReal } from '../real-store.ts'
import { random } from '../simulation/scheduler.ts'
import { pickOf } from './contents.ts'
import { fastBlobs, fastIndex } from './fast-clock.ts'

const [, , folder, name, scale, seed] = process.argv as [string, string, string, string, string, string]
const chance = random(Number(seed))
const store = await openReal(folder, { index: fastIndex(Number(scale)), blobs: fastBlobs(Number(scale)) })
const tell = (line: object) => writeSync(1, `${JSON.stringify(line)}\n`)
let going = true
process.stdin.once('data', () => {
  going = false
})
const own: string[] = []
let conflicts = 0
while (going) {
  const pick = Array.from({ length: 20 }, (_, i) => i).filter(() => chance() < 0.006)
  const _id = `${name}-${randomUUID()}`
  try {
    await store.save(_id, pickOf(pick))
    tell({ saved: _id, pick })
    own.push(_id)
  } catch (error) {
    if (!isHubError(error, 'CONFLICT')) throw error
    conflicts++
  }
  while (own.length > 5 || (own.length > 0 && chance() < 0.4)) {
    const [old] = own.splice(Math.floor(chance() * own.length), 1) as [string]
    tell({ asked: old })
    await store.index.delete('things', { op: 'eq', path: ['_id'], value: old })
    tell({ deleted: old })
  }
}
tell({ conflicts })
process.stdin.destroy()
await store[Symbol.asyncDispose]()
