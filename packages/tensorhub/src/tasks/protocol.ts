import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import {
  type Call,
  type Change,
  HubError,
  type IndexStore,
  isHubError,
  type Order,
  type Predicate,
  type StoreClock,
  type Value,
} from '@tensorhub/core'
import type { TaskError, TaskRecord } from './document.ts'

const COLL = 'tasks'
const HISTORY = 20
/** A default lease, in ms; each task carries its own. */
export const LEASE = 60_000
/** A claim's default order: the most urgent, then the oldest (the original's newest-first starved old tasks; O10). */
export const CLAIM_ORDER: Order = [
  { path: ['priority'], dir: -1 },
  { path: ['time'], dir: 1 },
  { path: ['_id'], dir: 1 },
]

/** The order of the index that finds expired leases. */
const LEASE_ORDER: Order = [
  { path: ['lease_until'], dir: 1 },
  { path: ['_id'], dir: 1 },
]

/** What a claim gave: the document as claimed, and the fence of every later write. */
export interface Claim {
  readonly doc: TaskRecord
  readonly nonce: string
  /** Monotonic time at which it was asked for: the lease lasts at least from then. */
  readonly sent: number
}

/** The document after a write under the fence; null when another owner has the task, or it is gone: then nothing was changed. */
export type Fenced = TaskRecord | null

/** What an attempt leaves beside its error. */
export interface AttemptEnd {
  /** The results there are; kept also where the attempt failed. */
  readonly result: { readonly [name: string]: Value }
  readonly output: Value
}

/**
 * The newest form of task that this version can run; kept in each task's `_v`. What a later version adds that a runner must know to run a task
 * rightly raises the number in tasks that use it, and runners of this version leave those alone.
 */
export const TASK_FORMAT = 1

/** More than any task is claimed. */
const COUNTS = 2 ** 30

/** A reading of the store's clock this young, in ms, needs no other. */
const FRESH_MS = 1000

/** How long one call may hang on a connection that is half open before it is taken for lost and made certain by reading back. */
const CALL_MS = 30_000
const bounded = (): Call => ({ signal: AbortSignal.timeout(CALL_MS) })

/**
 * The task protocol of tasks.md §5.1, written once over `takeOne`, `update` and the store's clock. Every write of an owner filters on
 * `{ _id, epoch, claim, status: 'running' }`: whoever lost the lease can change nothing. Time only moves leases; safety rests on epoch and nonce.
 */
export class TaskProtocol {
  readonly #index: IndexStore
  readonly #clock: StoreClock
  readonly #sleep: (ms: number) => Promise<unknown>

  /** @param sleep The pause between questions to an index that does not answer; a simulation has a clock of its own. */
  constructor(index: IndexStore, clock: StoreClock, sleep: (ms: number) => Promise<unknown> = delay) {
    this.#index = index
    this.#clock = clock
    this.#sleep = sleep
  }

  async makeIndexes(): Promise<void> {
    const key = (name: string, dir: 1 | -1 = 1) => ({ path: [name], dir })
    const orders: readonly Order[] = [
      [key('project_name'), key('task_name'), key('status'), key('priority', -1), key('time'), key('_id')],
      [key('project_name'), key('status'), key('priority', -1), key('time'), key('_id')],
      [key('project_name'), key('status'), key('lease_until'), key('_id')],
    ]
    await Promise.all(orders.map((order) => this.#index.ensureIndex(COLL, order, {})))
  }

  /** Takes the first due task, or null. A lost reply is made certain by the nonce, which only this call knows. */
  async claim(where: Predicate, order: Order, lease: number, o: Call = {}): Promise<Claim | null> {
    for (let tries = 0; ; tries++) {
      const sent = performance.now()
      // A runner has just asked, to take expired leases back.
      const now = tries === 0 && this.#clock.age < FRESH_MS ? this.#clock.now() : await this.#clock.sync(o)
      const nonce = randomBytes(16).toString('hex')
      const due: Predicate = {
        op: 'and',
        of: [
          where,
          eq('status', 'pending'),
          // A negation, which no index serves: with a range SQLite prefers an index on `not_before`, and sorts all tasks that are due.
          { op: 'not', of: { op: 'gt', path: ['not_before'], value: now } },
          { op: 'not', of: { op: 'gt', path: ['_v'], value: TASK_FORMAT } },
          // Nobody counts so far; said so that a store may count up in place, without looking at the number first (@tensorhub/mongodb).
          ...['epoch', 'attempts'].map(
            (name) => ({ op: 'not', of: { op: 'gt', path: [name], value: COUNTS } }) as const,
          ),
        ],
      }
      const change: Change = {
        set: {
          status: 'running',
          claim: nonce,
          runner: { id: RUNNER, host: hostname(), pid: process.pid },
          started_at: now,
          heartbeat_at: now,
          lease_until: new Date(now.getTime() + lease),
          progress: null,
        },
        inc: { epoch: 1, attempts: 1 },
      }
      try {
        // Not the caller's signal: whether it took a task must become certain.
        const doc = await this.#index.takeOne(COLL, due, change, { order, ...bounded() })
        return doc === null ? null : { doc: doc as TaskRecord, nonce, sent }
      } catch (error) {
        if (isHubError(error, 'INVALID') || isHubError(error, 'CLOSED') || isHubError(error, 'DENIED') || tries >= 3)
          throw error
        const mine = await this.#mine(nonce, error)
        if (mine !== undefined) return { doc: mine, nonce, sent }
      }
    }
  }

  /** The task that a claim whose reply was lost took, if it took one; asked until there is an answer, or the lease would be nearly over. */
  async #mine(nonce: string, failure: unknown): Promise<TaskRecord | undefined> {
    for (let pause = 50; pause <= 3200; pause *= 2) {
      try {
        return (await this.#index.top(COLL, eq('claim', nonce), bounded())) as TaskRecord | undefined
      } catch (error) {
        if (isFinal(error)) throw error
        await this.#sleep(pause * (0.5 + Math.random()))
      }
    }
    throw failure
  }

  /** Prolongs the lease and carries progress out. @returns the document (with cancel_requested), or null: definitely lost. */
  async heartbeat(claim: Claim, lease: number, progress: Value, o: Call = {}): Promise<TaskRecord | null> {
    const now = await this.#clock.sync(o)
    const set = { heartbeat_at: now, lease_until: new Date(now.getTime() + lease), progress }
    return (await this.#index.takeOne(COLL, fence(claim), { set }, o)) as TaskRecord | null
  }

  /** Result and status in one write (O3, B11). */
  commit(claim: Claim, { result, output }: AttemptEnd): Promise<Fenced> {
    return this.#fenced(
      claim,
      { set: { status: 'finished', result, output, error: null, finished_at: this.#clock.now(), lease_until: null } },
      (doc) => doc.status === 'finished' && doc.claim === claim.nonce,
    )
  }

  /**
   * An attempt that failed: pending again with backoff while attempts are left, else failed; cancelled where that was asked for meanwhile.
   *
   * @param o.infra The machine is at fault rather than the script; only explains.
   * @param o.final No further attempt can help; and this one does not count, since nothing was run.
   */
  async fail(
    claim: Claim,
    error: TaskError,
    end: AttemptEnd,
    o: { readonly infra: boolean; readonly final?: boolean },
  ): Promise<Fenced> {
    const { doc } = claim
    const now = this.#clock.now()
    const final = o.final === true || doc.attempts >= doc.max_attempts
    const set: Record<string, Value> = {
      ...given(claim),
      error: { ...error },
      result: end.result,
      output: end.output,
      history: history(doc, error, now),
    }
    const inc = { epoch: 1, ...(o.infra ? { infra_failures: 1 } : {}), ...(o.final === true ? { attempts: -1 } : {}) }
    return this.#fenced(
      claim,
      (asked) =>
        asked || final
          ? { set: { ...set, status: asked ? 'cancelled' : 'failed', finished_at: now }, inc }
          : { set: { ...set, status: 'pending', not_before: new Date(now.getTime() + backoff(doc.attempts)) }, inc },
      (found) => found.last_claim === claim.nonce,
    )
  }

  /** Ends a running task whose cancellation was asked for. */
  cancelRunning(claim: Claim, output: Value): Promise<Fenced> {
    return this.#fenced(
      claim,
      { set: { ...given(claim), status: 'cancelled', output, finished_at: this.#clock.now() }, inc: { epoch: 1 } },
      (doc) => doc.last_claim === claim.nonce,
    )
  }

  /** Gives a task back without counting the attempt (graceful end, or this runner cannot run anything). */
  release(claim: Claim): Promise<Fenced> {
    const inc = { epoch: 1, attempts: -1 }
    return this.#fenced(
      claim,
      (asked) =>
        asked
          ? { set: { ...given(claim), status: 'cancelled', finished_at: this.#clock.now() }, inc }
          : { set: { ...given(claim), status: 'pending' }, inc },
      (doc) => doc.last_claim === claim.nonce,
    )
  }

  /** Takes expired leases back: cancelled, failed, or pending again with backoff. Anyone may call it, at any time. @returns how many. */
  async reap(project: string, o: Call = {}): Promise<number> {
    const now = await this.#clock.sync(o)
    const expired: Predicate = {
      op: 'and',
      of: [eq('status', 'running'), { op: 'lt', path: ['lease_until'], value: now }],
    }
    let reaped = 0
    const found: TaskRecord[] = []
    // What is beyond the limit is taken by the next call, or by another runner's.
    const own: Predicate = { op: 'and', of: [eq('project_name', project), expired] }
    for await (const doc of this.#index.find(COLL, own, { ...o, order: LEASE_ORDER, limit: 1000 }))
      found.push(doc as TaskRecord)
    for (const doc of found) {
      const error: TaskError = {
        code: 'LEASE_EXPIRED',
        message: `The runner of attempt ${doc.attempts} stopped sending heartbeats (it was killed, suspended, or cut off).`,
      }
      const status = doc.cancel_requested ? 'cancelled' : doc.attempts >= doc.max_attempts ? 'failed' : 'pending'
      const set: Record<string, Value> = {
        status,
        claim: null,
        lease_until: null,
        not_before: status === 'pending' ? new Date(now.getTime() + backoff(doc.attempts)) : now,
        error: { ...error },
        history: history(doc, error, now),
        ...(status === 'pending' ? {} : { finished_at: now }),
      }
      const where: Predicate = {
        op: 'and',
        of: [
          eq('_id', doc._id),
          eq('epoch', doc.epoch),
          eq('claim', doc.claim as string),
          expired,
          askedToStop(doc.cancel_requested),
        ],
      }
      const change = { set, inc: { epoch: 1, infra_failures: 1 } }
      if ((await this.#index.takeOne(COLL, where, change, o)) !== null) reaped++
    }
    return reaped
  }

  /**
   * Cancels what matches: waiting tasks at once, running ones by asking their runners. A task may move from one state to the other between the two
   * writes, so they are repeated until none is left that neither knows of. @returns how many.
   */
  async cancel(where: Predicate, o: Call = {}): Promise<number> {
    const waiting: Predicate = {
      op: 'and',
      of: [where, { op: 'in', path: ['status'], values: ['pending', 'blocked'] }],
    }
    const running: Predicate = { op: 'and', of: [where, eq('status', 'running'), askedToStop(false)] }
    let cancelled = 0
    for (;;) {
      const change = { set: { status: 'cancelled', finished_at: this.#clock.now() }, inc: { epoch: 1 } }
      const found =
        (await this.#index.update(COLL, running, { set: { cancel_requested: true } }, o)) +
        (await this.#index.update(COLL, waiting, change, o))
      cancelled += found
      if (found === 0) return cancelled
    }
  }

  /** Makes failed or cancelled tasks pending again, with all their attempts. */
  requeue(where: Predicate, o: Call = {}): Promise<number> {
    return this.#index.update(
      COLL,
      { op: 'and', of: [where, { op: 'in', path: ['status'], values: ['failed', 'cancelled'] }] },
      {
        set: {
          status: 'pending',
          attempts: 0,
          not_before: new Date(0),
          cancel_requested: false,
          error: null,
          result: {},
        },
        inc: { epoch: 1 },
        unset: ['finished_at'],
      },
      o,
    )
  }

  /**
   * A write under the fence; when it matched nothing or the reply was lost, the document decides. Never repeated blindly. An index that does not
   * answer is asked again for at least a minute: the work of hours may hang on this one write, and the fence makes a late one harmless.
   *
   * @param change Where it depends on whether a cancellation was asked for, that is part of the fence, so that none is forgotten.
   */
  async #fenced(
    claim: Claim,
    change: Change | ((asked: boolean) => Change),
    mine: (doc: TaskRecord) => boolean,
  ): Promise<Fenced> {
    let failure: unknown
    let asked = claim.doc.cancel_requested === true
    const until = performance.now() + Math.max(60_000, claim.doc.lease_ms)
    for (let pause = 50; performance.now() < until; pause = Math.min(pause * 2, 5000)) {
      try {
        const written =
          typeof change === 'function'
            ? await this.#index.takeOne(
                COLL,
                { op: 'and', of: [fence(claim), askedToStop(asked)] },
                change(asked),
                bounded(),
              )
            : await this.#index.takeOne(COLL, fence(claim), change, bounded())
        if (written !== null) return written as TaskRecord
        failure = undefined
      } catch (error) {
        if (isFinal(error)) throw error
        failure = error
      }
      try {
        const doc = (await this.#index.top(COLL, eq('_id', claim.doc._id), bounded())) as TaskRecord | undefined
        if (doc !== undefined && mine(doc)) return doc
        if (doc === undefined || doc.status !== 'running' || doc.claim !== claim.nonce || doc.epoch !== claim.doc.epoch)
          return null
        if ((doc.cancel_requested === true) !== asked) {
          asked = !asked
          continue
        }
      } catch (error) {
        if (isFinal(error)) throw error
        failure = error
      }
      await this.#sleep(pause * (0.5 + Math.random()))
    }
    throw (
      failure ??
      new HubError('CONFLICT', `Task ${claim.doc._id} kept changing under its owner.`, {
        at: { scheme: 'hub', op: 'task' },
        retryable: true,
      })
    )
  }
}

/** What asking again cannot mend. */
function isFinal(error: unknown): boolean {
  return !isHubError(error) || ['INVALID', 'CLOSED', 'DENIED', 'UNSUPPORTED'].includes(error.code)
}

/** This process, among runners. */
const RUNNER = randomBytes(8).toString('hex')

function fence(claim: Claim): Predicate {
  return {
    op: 'and',
    of: [eq('_id', claim.doc._id), eq('epoch', claim.doc.epoch), eq('claim', claim.nonce), eq('status', 'running')],
  }
}

/** Whether a cancellation was asked for, as a filter. */
function askedToStop(asked: boolean): Predicate {
  const yes: Predicate = { op: 'eq', path: ['cancel_requested'], value: true }
  return asked ? yes : { op: 'not', of: yes }
}

/** What an owner that gives a task up writes in any case. `last_claim` keeps a lost reply decidable; only owners set it. */
function given(claim: Claim): Record<string, Value> {
  return { claim: null, last_claim: claim.nonce, lease_until: null }
}

function eq(field: string, value: string | number): Predicate {
  return { op: 'eq', path: [field], value }
}

/** 1 s doubling to 5 min, ± 20 %, so that tasks that failed together do not come back together. */
function backoff(attempt: number): number {
  return Math.round(Math.min(300_000, 1000 * 2 ** Math.min(attempt - 1, 9)) * (0.8 + Math.random() * 0.4))
}

function history(doc: TaskRecord, error: TaskError, now: Date): Value[] {
  const old = Array.isArray(doc['history']) ? (doc['history'] as Value[]) : []
  return [
    ...old,
    { epoch: doc.epoch, attempt: doc.attempts, at: now, code: error.code, message: error.message.slice(0, 500) },
  ].slice(-HISTORY)
}
