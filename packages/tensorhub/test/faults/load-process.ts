import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { type HubError, isHubError } from '@tensorhub/core'
import { TensorHub } from '../../src/index.ts'
import { LARGE, noise } from '../suite/values.ts'
import { startingHandler } from '../tasks/history.ts'
import type { LoadLine } from './loads.ts'

/**
 * Saves, loads, creates, claims and commits at once while servers die under it: `node load-process.ts <its number> <file of starts>`; the hub is named by
 * TENSORHUB_INDEX and TENSORHUB_BLOBS. One JSON line an event; ends by itself on SIGTERM. An error that says of itself
 * neither that it may pass nor that its outcome is unknown ends the process.
 */
const [number, starts] = process.argv.slice(2) as [string, string]
const worker = Number(number)
const say = (line: LoadLine) => process.stdout.write(`${JSON.stringify(line)}\n`)
const hub = await TensorHub.connect({ projectName: 'tutorial', scripts: { handlers: { t: startingHandler } } })
let going = true
process.once('SIGTERM', () => {
  going = false
})

const contentOf = (n: number) => ({ worker, n, data: noise(LARGE, worker * 100_000 + n) })
const saved: { readonly id: string; readonly n: number }[] = []

const mayPass = (error: HubError) => error.retryable || error.reason === 'REPLY_LOST'

/** @returns what the call gave, or undefined when it failed as calls may while a server is away. */
async function tried<T>(what: LoadLine['kind'], call: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
  const begun = Date.now()
  try {
    return { value: await call() }
  } catch (error) {
    if (!isHubError(error) || !mayPass(error)) throw error
    say({ kind: 'failed', at: Date.now(), begun, of: what, code: error.code, message: error.message })
    return undefined
  }
}

async function saves(): Promise<void> {
  for (let n = 0; going; n++) {
    const begun = Date.now()
    const done = await tried('saved', () => hub.saveDataset(contentOf(n), `of ${worker}`, { n }))
    if (done !== undefined) {
      saved.push({ id: done.value._id, n })
      say({ kind: 'saved', at: Date.now(), begun, id: done.value._id, n })
    }
    await delay(20)
  }
}

async function loads(): Promise<void> {
  while (going) {
    await delay(20)
    const one = saved[Math.floor(Math.random() * saved.length)]
    if (one === undefined) continue
    const begun = Date.now()
    // A store that lost what it had acknowledged; whether it may is for the test to say.
    const lost = (error: unknown) => {
      if (!isHubError(error) || mayPass(error)) throw error
      return `${error.code}: ${error.message}`
    }
    const load = async () => (await hub.datasets.open(one.id))?.load()
    const done = await tried('loaded', () => load().catch(lost))
    if (done === undefined) continue
    const equal = isDeepStrictEqual(done.value, contentOf(one.n))
    say({ kind: equal ? 'loaded' : 'unreadable', at: Date.now(), begun, id: one.id, n: one.n })
  }
}

async function tasks(script: string): Promise<void> {
  for (let n = 0; going; n++) {
    // Repeated until it is heard of: the key makes one task of it.
    let created: { readonly value: { readonly _id: string } } | undefined
    while (created === undefined) {
      const begun = Date.now()
      const options = { idempotencyKey: `${worker}-${n}`, hyperParameters: { n, starts }, lease: 3000, maxAttempts: 50 }
      created = await tried('created', () => hub.createTask('t', script, options))
      if (created !== undefined) say({ kind: 'created', at: Date.now(), begun, id: created.value._id, n })
      else await delay(50)
    }
    const begun = Date.now()
    const ran = await tried('ran', () => hub.runTopTask('t'))
    if (ran?.value) {
      const { task, status, attempt } = ran.value
      say({ kind: 'ran', at: Date.now(), begun, id: task._id, status, attempt })
    }
    await delay(20)
  }
}

process.stdout.write('ready\n')
await Promise.all([saves(), loads(), tasks(process.argv[4] as string)])
await hub.close()
