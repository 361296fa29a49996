// Does `work` in a folder and is killed at the N-th call of a store: `node killed.ts FOLDER N before|during`. Prints a line of JSON for each step.
import { writeSync } from 'node:fs'
import { openReal } from '../real-store.ts'
import { work } from './work.ts'

const [, , folder, number, moment] = process.argv as [string, string, string, string, 'before' | 'during']
const last = Number(number)
let calls = 0
const die = () => process.kill(process.pid, 'SIGKILL')

/** Counts the calls of a driver; the last one is not begun, or only begun. */
function counted<D extends object>(driver: D): D {
  return new Proxy(driver, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target)
      if (typeof value !== 'function' || ['open', 'close', 'native', 'exact'].includes(String(name))) {
        return typeof value === 'function' ? value.bind(target) : value
      }
      return (...args: unknown[]): unknown => {
        calls++
        if (calls === last && moment === 'before') die()
        const result: unknown = Reflect.apply(value, target, args)
        // Some of these moments fall before the effect, some into it, some behind it.
        if (calls === last) setTimeout(die, last % 5)
        return result
      }
    },
  })
}

const store = await openReal(folder, { index: counted, blobs: counted })
await work(store, (line) => writeSync(1, `${JSON.stringify(line)}\n`))
writeSync(1, `${JSON.stringify({ calls })}\n`)
await store[Symbol.asyncDispose]()
