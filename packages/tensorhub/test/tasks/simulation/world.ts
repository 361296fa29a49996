import {
  type Change,
  type Doc,
  HubError,
  type IndexDriver,
  type Order,
  type Predicate,
  type Value,
} from '@tensorhub/core'
import { type MemoryDocuments, memoryIndex } from '@tensorhub/memory'

/** How a broken protocol behaves; a simulation that cannot catch one proves nothing. */
export type Mutation =
  /** Owners' writes are guarded by the status alone, as in several queues (tasks.md §2). */
  | 'no fence'
  /** Guarded by the epoch alone, which the reaper forgets to raise. */
  | 'no new owner number'
  /** Status and result in two writes, as the original did. */
  | 'finished before the result'

export class Violation extends Error {}

/**
 * One index in memory with a clock of its own, whose every call waits until the schedule lets it go on: before it is carried out, and again before
 * its reply arrives. What happens is decided by a list of numbers alone, so that a failing one can be replayed and shrunk.
 */
export class World {
  /** ms; moved by sleeps and stalls only. */
  time = 1_000_000
  faults: number
  readonly mutation: Mutation | undefined
  readonly #documents: MemoryDocuments = new Map()
  readonly #driver: IndexDriver
  readonly #decisions: readonly number[]
  readonly #waiting: (() => void)[] = []
  readonly #deeds: string[] = []
  #next = 0
  /** Kept here: thrown inside the driver it would be taken for the store's failure. */
  #violation: Violation | undefined

  constructor(decisions: readonly number[], faults: number, mutation?: Mutation) {
    this.#decisions = decisions
    this.faults = faults
    this.mutation = mutation
    this.#driver = memoryIndex(this.#documents)
  }

  /** A number below `n`; 0, the most ordinary course, once the list is used up. */
  choose(n: number): number {
    const decision = this.#decisions[this.#next++] ?? 0
    return decision % n
  }

  /** What happened, for the report of a violation. */
  get deeds(): readonly string[] {
    return this.#deeds
  }

  /** Waits until the schedule comes back to this actor. */
  turn(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async sleep(ms: number): Promise<void> {
    await this.turn()
    this.time += ms
  }

  /** Lets one waiting actor after the other go on until all have ended. */
  async run(actors: readonly Promise<unknown>[], most = 20_000): Promise<void> {
    let going = true
    const all = Promise.all(actors).finally(() => {
      going = false
    })
    // Its failure is thrown below, when the loop has noticed.
    all.catch(() => undefined)
    for (let steps = 0; ; steps++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (this.#violation !== undefined) throw this.#violation
      if (!going) break
      if (steps > most) throw new Violation(`no end after ${most} steps`)
      const [go] = this.#waiting.splice(this.choose(this.#waiting.length || 1), 1)
      go?.()
    }
    await all
  }

  tasks(): Doc[] {
    return [...(this.#documents.get('tasks')?.docs.values() ?? [])]
  }

  get driver(): IndexDriver {
    const driver = this.#driver
    const turns = async <T>(what: string, call: () => Promise<T>): Promise<T> => {
      await this.turn()
      const fault = this.faults > 0 && what !== 'find' ? this.choose(12) : 0
      if (fault === 1 || fault === 2) this.faults--
      if (fault === 1) throw unreachable(what)
      const before = new Map(this.tasks().map((doc) => [doc._id, doc]))
      const value = await call()
      for (const doc of this.tasks()) this.#check(before.get(doc._id), doc, what)
      await this.turn()
      if (fault === 2) throw unreachable(what)
      return value
    }
    const { mutation } = this
    return {
      scheme: 'simulated',
      can: { ...driver.can, watch: false },
      now: async () => new Date(this.time),
      ensureIndex: async () => undefined,
      insert: (coll, docs, o) => turns('insert', () => driver.insert(coll, docs, o)),
      count: (coll, where, o) => turns('find', () => driver.count(coll, where, o)),
      delete: (coll, where, o) => turns('delete', () => driver.delete(coll, where, o)),
      update: (coll, where, change, o) => turns('update', () => driver.update(coll, where, change, o)),
      takeOne: async (coll, where, change, o) => {
        const late = mutation === 'finished before the result' ? change.set?.['result'] : undefined
        if (change.set?.['status'] === 'finished' && late !== undefined) {
          const first = await turns('takeOne', () => driver.takeOne(coll, where, without(change, 'result'), o))
          if (first !== null)
            await turns('takeOne', () =>
              driver.takeOne(coll, byId(first._id), { set: { result: late } }, o as { order: Order }),
            )
          return first
        }
        return turns('takeOne', () =>
          driver.takeOne(coll, weakened(where, change, mutation), blunted(change, mutation), o),
        )
      },
      find: (coll, where, o) => {
        const { turn } = this
        const read = driver.find(coll, where, o)
        const self = this
        return (async function* () {
          await turn.call(self)
          yield* read
        })()
      },
    }
  }

  /** I2, I4, I6, and that what ended stays as it is. */
  #check(before: Doc | undefined, after: Doc, what: string): void {
    if (before === undefined || before['_rev'] === after['_rev']) return
    const show = (doc: Doc) => `${doc['status']}/${doc['epoch']}/${String(doc['claim']).slice(0, 4)}/${doc['attempts']}`
    const line = `${this.time} ${what} ${after._id}: ${show(before)} → ${show(after)}`
    this.#deeds.push(line)
    const broken = (rule: string) => {
      this.#violation ??= new Violation(`${rule}\n${this.#deeds.join('\n')}`)
    }
    const ended = ['finished', 'failed', 'cancelled']
    if (ended.includes(String(before['status']))) broken('a task that had ended was changed')
    if (Number(after['attempts']) > Number(after['max_attempts'])) broken('I4: more attempts than allowed')
    const result = after['result'] as { epoch?: Value }
    if (after['status'] === 'finished' && result.epoch !== after['epoch']) broken('I2: finished without its own result')
    if (before['claim'] !== after['claim'] && Number(after['epoch']) <= Number(before['epoch']))
      broken('I6: another owner without another epoch')
    if (before['status'] === 'pending' && after['status'] === 'running' && before['cancel_requested'] === true)
      broken('a task whose cancellation was asked for was run again')
  }
}

function unreachable(op: string): HubError {
  return new HubError('UNAVAILABLE', 'no answer', { at: { scheme: 'simulated', op }, retryable: true })
}

function byId(id: string): Predicate {
  return { op: 'eq', path: ['_id'], value: id }
}

function without(change: Change, field: string): Change {
  const { [field]: _gone, ...set } = change.set ?? {}
  return { ...change, set: { ...set } }
}

/** Owners' filters name a claim; without it and the epoch, any running task of that id will do. */
function weakened(where: Predicate, change: Change, mutation: Mutation | undefined): Predicate {
  const drop = mutation === 'no fence' ? ['claim', 'epoch'] : mutation === 'no new owner number' ? ['claim'] : []
  const isReap = change.inc?.['infra_failures'] !== undefined
  if (drop.length === 0 || where.op !== 'and' || isReap) return where
  return {
    op: 'and',
    of: where.of
      .filter((part) => !(part.op === 'eq' && drop.includes(String(part.path[0]))))
      .map((part) => (part.op === 'and' ? weakened(part, change, mutation) : part)),
  }
}

function blunted(change: Change, mutation: Mutation | undefined): Change {
  if (mutation !== 'no new owner number' || change.inc?.['infra_failures'] === undefined) return change
  const { epoch: _gone, ...inc } = change.inc
  return { ...change, inc }
}
