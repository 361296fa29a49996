import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import {
  type BlobDriver,
  BlobStore,
  type Doc,
  type IndexCan,
  type IndexDriver,
  IndexStore,
  isHubError,
} from '../../src/index.ts'
import { EVERYTHING, recordingBlobs } from '../blob-layer/recording-blobs.ts'

const CAN: IndexCan = { maxDocBytes: 1000, transactions: true, uniqueKeys: true, watch: true }
const everything = { op: 'everything' } as const

/** A promise that a test resolves. */
function gate<T = void>() {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((yes, no) => {
    resolve = yes
    reject = no
  })
  return { promise, resolve, reject }
}

/** An index driver that tells what happens to it; open, close and every call wait for the test. */
function gatedIndex() {
  const log: string[] = []
  const gates = { open: gate(), call: gate(), close: gate() }
  const call = async (name: string) => {
    log.push(`${name} begins`)
    await gates.call.promise
    log.push(`${name} ends`)
  }
  const driver: IndexDriver = {
    scheme: 'gated',
    can: CAN,
    async open(o) {
      log.push(o.signal === undefined ? 'open' : 'open with a signal')
      await gates.open.promise
      return undefined
    },
    async close() {
      log.push('close')
      await gates.close.promise
    },
    ensureIndex: () => call('ensureIndex'),
    insert: () => call('insert'),
    async *find() {
      try {
        for (let i = 0; ; i++) {
          await call(`find ${i}`)
          yield { _id: String(i) }
        }
      } finally {
        log.push('find freed')
      }
    },
    count: () => call('count').then(() => 5),
    update: () => call('update').then(() => 1),
    takeOne: () => call('takeOne').then(() => null),
    delete: () => call('delete').then(() => 1),
    async *watch(_coll, _where, o) {
      log.push('watch begins')
      await new Promise((_, reject) => o.signal?.addEventListener('abort', () => reject(o.signal?.reason)))
    },
    now: () => call('now').then(() => new Date(0)),
  }
  return { driver, log, gates, store: new IndexStore(driver) }
}

function indexCalls(store: IndexStore): Readonly<Record<string, (signal?: AbortSignal) => Promise<unknown>>> {
  const o = (signal?: AbortSignal) => (signal ? { signal } : {})
  return {
    can: (signal) => store.can(o(signal)),
    open: (signal) => store.open(o(signal)),
    insert: (signal) => store.insert('c', [{ _id: 'a' }], o(signal)),
    find: (signal) => store.find('c', everything, o(signal)).next(),
    top: (signal) => store.top('c', everything, o(signal)),
    count: (signal) => store.count('c', everything, o(signal)),
    update: (signal) => store.update('c', everything, { set: { a: 1 } }, o(signal)),
    delete: (signal) => store.delete('c', everything, o(signal)),
    takeOne: (signal) => store.takeOne('c', everything, { set: { a: 1 } }, o(signal)),
    ensureIndex: (signal) => store.ensureIndex('c', [{ path: ['a'], dir: 1 }], o(signal)),
    now: (signal) => store.now(o(signal)),
  }
}

function blobCalls(store: BlobStore): Readonly<Record<string, (signal?: AbortSignal) => Promise<unknown>>> {
  const o = (signal?: AbortSignal) => (signal ? { signal } : {})
  return {
    can: (signal) => store.can(o(signal)),
    open: (signal) => store.open(o(signal)),
    stat: (signal) => store.stat('k', o(signal)),
    exists: (signal) => store.exists('k', o(signal)),
    read: (signal) => store.read('k', o(signal)),
    bytes: (signal) => store.bytes('k', o(signal)),
    readInto: (signal) => store.readInto('k', new Uint8Array(1), { offset: 0, ...o(signal) }),
    write: (signal) => store.write('k', 'x', o(signal)),
    delete: (signal) => store.delete(['k'], o(signal)),
    list: (signal) => store.list('', o(signal)).next(),
    copy: (signal) => store.copy('k', 'l', o(signal)),
    sign: (signal) => store.sign('k', { method: 'GET', expiresIn: 5, ...o(signal) }),
    sweep: (signal) => store.sweep({ before: new Date(0), ...o(signal) }),
  }
}

/** A blob driver whose opening waits. */
function gatedBlobs() {
  const open = gate()
  const { driver, calls } = recordingBlobs(EVERYTHING)
  let opened = 0
  const gated: BlobDriver = {
    ...driver,
    async open() {
      opened++
      await open.promise
      return undefined
    },
  }
  return { open, calls, opened: () => opened, store: new BlobStore(gated) }
}

const pending = async (promise: Promise<unknown>) => {
  await turn()
  return (
    (await Promise.race([
      promise.then(
        () => 'settled',
        () => 'settled',
      ),
      turn('pending'),
    ])) === 'pending'
  )
}

const names = { index: Object.keys(indexCalls(gatedIndex().store)), blobs: Object.keys(blobCalls(gatedBlobs().store)) }

describe.each(names.index)('index: %s', (name) => {
  const callOf = (store: IndexStore) => indexCalls(store)[name] as (signal?: AbortSignal) => Promise<unknown>

  it('opens the driver at the first call, once, and waits', async () => {
    const { store, log, gates } = gatedIndex()
    expect(log).toEqual([])
    const both = [callOf(store)(), callOf(store)(), store.now()]
    expect(await pending(Promise.race(both))).toBe(true)
    expect(log).toEqual(['open'])
    gates.open.resolve()
    gates.call.resolve()
    await Promise.all(both)
    expect(log.filter((line) => line === 'open').length).toBe(1)
  })

  it('is released by its own signal while opening, which goes on for the others', async () => {
    const { store, log, gates } = gatedIndex()
    const stop = new AbortController()
    const mine = callOf(store)(stop.signal)
    const other = store.now()
    const reason = new Error('enough')
    stop.abort(reason)
    await expect(mine).rejects.toMatchObject({ code: 'ABORTED', cause: reason })
    expect(log).toEqual(['open'])
    gates.open.resolve()
    gates.call.resolve()
    await other
    expect(log).toEqual(['open', 'now begins', 'now ends'])
  })

  it('is CLOSED while closing and afterwards; no call reaches the driver', async () => {
    const { store, log, gates } = gatedIndex()
    gates.open.resolve()
    gates.call.resolve()
    await store.now()
    const closing = store.close()
    await expect(callOf(store)()).rejects.toMatchObject({ code: 'CLOSED', at: { scheme: 'gated' } })
    gates.close.resolve()
    await closing
    await expect(callOf(store)()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(log).toEqual(['open', 'now begins', 'now ends', 'close'])
  })

  it('is CLOSED when the store closes while it opens', async () => {
    const { store, log, gates } = gatedIndex()
    const mine = callOf(store)()
    await turn()
    const closing = store.close()
    gates.open.resolve()
    gates.close.resolve()
    await expect(mine).rejects.toMatchObject({ code: 'CLOSED' })
    await closing
    expect(log).toEqual(['open', 'close'])
  })

  it('works again through a new store over the driver', async () => {
    const { store, driver, log, gates } = gatedIndex()
    for (const one of Object.values(gates)) one.resolve()
    await store.now()
    await store.close()
    await callOf(new IndexStore(driver))()
    expect(log.filter((line) => line === 'open').length).toBe(2)
  })

  it('tries to open again after a failure, whose error it gives with a place', async () => {
    const { driver, gates } = gatedIndex()
    gates.call.resolve()
    let tries = 0
    const cause = new Error('refused')
    const store = new IndexStore({
      ...driver,
      async open() {
        if (++tries === 1) throw cause
        return undefined
      },
    })
    const failed = await Promise.allSettled([callOf(store)(), store.now()])
    for (const outcome of failed)
      expect(outcome).toMatchObject({
        status: 'rejected',
        reason: { code: 'UNKNOWN', cause, at: { scheme: 'gated', op: 'open' } },
      })
    await callOf(store)()
    expect(tries).toBe(2)
  })
})

describe.each(names.blobs)('blobs: %s', (name) => {
  const callOf = (store: BlobStore) => blobCalls(store)[name] as (signal?: AbortSignal) => Promise<unknown>

  it('waits for the opening, which it alone does not end', async () => {
    const { store, open, calls, opened } = gatedBlobs()
    const stop = new AbortController()
    const aborted = callOf(store)(stop.signal)
    const waiting = callOf(store)()
    expect(await pending(Promise.race([aborted, waiting]))).toBe(true)
    stop.abort()
    await expect(aborted).rejects.toMatchObject({ code: 'ABORTED' })
    expect(calls).toEqual([])
    open.resolve()
    await waiting
    expect(opened()).toBe(1)
  })

  it('is CLOSED once closed', async () => {
    const { store, open, calls } = gatedBlobs()
    open.resolve()
    await store.open()
    await store.close()
    await expect(callOf(store)()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(calls).toEqual([])
  })
})

describe('closing', () => {
  it('waits for running calls, also for those whose callers have left', async () => {
    const { store, log, gates } = gatedIndex()
    gates.open.resolve()
    gates.close.resolve()
    const stop = new AbortController()
    const running = store.count('c', everything)
    const left = store.update('c', everything, { set: { a: 1 } }, { signal: stop.signal })
    await expect.poll(() => log.length).toBe(3)
    stop.abort()
    await expect(left).rejects.toMatchObject({ code: 'ABORTED' })
    const closing = store.close()
    expect(await pending(closing)).toBe(true)
    expect(log).not.toContain('close')
    gates.call.resolve()
    expect(await running).toBe(5)
    await closing
    expect(log.at(-1)).toBe('close')
    expect(log.indexOf('update ends')).toBeLessThan(log.indexOf('close'))
  })

  it('ends streams that were left half-read, and frees what they hold, before the driver closes', async () => {
    const { store, log, gates } = gatedIndex()
    for (const one of Object.values(gates)) one.resolve()
    const abandoned = store.find('c', everything)
    await abandoned.next()
    const read = store.find('c', everything)
    await read.next()
    await store.close()
    expect(log.filter((line) => line === 'find freed').length).toBe(2)
    expect(log.at(-1)).toBe('close')
    await expect(read.next()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(await read.next()).toEqual({ done: true, value: undefined })
  })

  it('inside the loop of a stream is no deadlock', async () => {
    const { store, gates } = gatedIndex()
    for (const one of Object.values(gates)) one.resolve()
    const seen: Doc[] = []
    const loop = async () => {
      for await (const doc of store.find('c', everything)) {
        seen.push(doc)
        await store.close()
      }
    }
    await expect(loop()).rejects.toMatchObject({ code: 'CLOSED' })
    expect(seen.length).toBe(1)
  })

  it('ends a watch that waits for an event', async () => {
    const { store, log, gates } = gatedIndex()
    for (const one of Object.values(gates)) one.resolve()
    const watching = store.watch('c', everything).next()
    await expect.poll(() => log).toContain('watch begins')
    await store.close()
    await expect(watching).rejects.toMatchObject({ code: 'CLOSED' })
    expect(log.at(-1)).toBe('close')
  })

  it('a store that was never opened, or could not be, closes nothing', async () => {
    const { store, log } = gatedIndex()
    await store.close()
    expect(log).toEqual([])
    await expect(store.now()).rejects.toMatchObject({ code: 'CLOSED' })
    const other = gatedIndex()
    const failed = other.store.now()
    other.gates.open.reject(new Error('no'))
    await expect(failed).rejects.toMatchObject({ code: 'UNKNOWN' })
    await other.store.close()
    expect(other.log).toEqual(['open'])
  })

  it('twice is one close; its failure is told to both, with a place', async () => {
    const { store, log, gates } = gatedIndex()
    gates.open.resolve()
    gates.call.resolve()
    await store.now()
    const both = [store.close(), store.close()]
    const cause = new Error('flush failed')
    gates.close.reject(cause)
    for (const one of await Promise.allSettled(both))
      expect(one).toMatchObject({
        status: 'rejected',
        reason: { code: 'UNKNOWN', cause, at: { scheme: 'gated', op: 'close' } },
      })
    expect(log.filter((line) => line === 'close').length).toBe(1)
  })

  it('comes with `await using`', async () => {
    const { store, log, gates } = gatedIndex()
    for (const one of Object.values(gates)) one.resolve()
    {
      await using inner = store
      await inner.now()
    }
    expect(log.at(-1)).toBe('close')
  })
})

describe('streams', () => {
  it('free the driver’s iterator when their loop is left, or fails', async () => {
    const { store, log, gates } = gatedIndex()
    for (const one of Object.values(gates)) one.resolve()
    for await (const _doc of store.find('c', everything)) break
    await expect(
      (async () => {
        for await (const _doc of store.find('c', everything)) throw new RangeError('mine')
      })(),
    ).rejects.toBeInstanceOf(RangeError)
    expect(log.filter((line) => line === 'find freed').length).toBe(2)
  })

  it('end with ABORTED at the step behind the abort', async () => {
    const { store, log, gates } = gatedIndex()
    for (const one of Object.values(gates)) one.resolve()
    const stop = new AbortController()
    const docs = store.find('c', everything, { signal: stop.signal })
    await docs.next()
    stop.abort('why')
    const error = await docs.next().catch((e: unknown) => e)
    expect(isHubError(error, 'ABORTED')).toBe(true)
    expect(error).toMatchObject({ cause: 'why' })
    expect(log.at(-1)).toBe('find freed')
  })
})
