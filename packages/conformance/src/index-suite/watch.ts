import { type IndexEvent, parseFilter } from '@tensorhub/core'
import { check, rejects } from '../expect.ts'
import type { IndexTest } from './bench.ts'

export const watchTests: readonly IndexTest[] = [
  [
    'watch: sees inserts, updates and deletes of matching documents, and ends with the signal',
    async (bench) => {
      const c = bench.coll()
      const can = await bench.can()
      check(!can.watch || typeof bench.store.driver.watch === 'function', 'can.watch without a watch method')
      const seen: IndexEvent[] = []
      const stop = new AbortController()
      const ended = (async () => {
        for await (const event of bench.store.watch(c, parseFilter({ kind: 'a' }), { signal: stop.signal }))
          seen.push(event)
      })()
      // Rejections are wanted, but later: a handler now keeps an early one from being unhandled.
      const outcome = ended.then(
        () => undefined,
        (error: unknown) => error,
      )
      const other = await bench.again()
      const until = async (what: string, holds: () => boolean, act?: (n: number) => Promise<unknown>) => {
        const deadline = Date.now() + 60_000
        for (let n = 0; !holds(); n++) {
          check(
            Date.now() < deadline,
            `watch did not see ${what} within 60 s; it saw ${JSON.stringify(seen.slice(0, 10))}`,
          )
          await act?.(n)
          await new Promise((resolve) => setTimeout(resolve, 20))
        }
      }
      try {
        // When watching has begun cannot be known from outside, so documents are inserted until one is seen.
        await until(
          'an insert',
          () => seen.some((event) => event.op === 'insert'),
          (n) => bench.store.insert(c, [{ _id: `early${n}`, kind: 'a' }]),
        )
        await other.insert(c, [
          { _id: 'x', kind: 'a' },
          { _id: 'y', kind: 'b' },
        ])
        const has = (op: string) => () => seen.some((event) => event._id === 'x' && event.op === op)
        if (can.watch) check(typeof seen[0]?._id === 'string', 'an event names its document')
        await until('an insert', has('insert'))
        await bench.store.update(c, parseFilter({ _id: 'x' }), { set: { n: 1 } })
        await until('an update', has('update'))
        await bench.store.delete(c, parseFilter({ _id: 'x' }))
        await until('a delete', has('delete'))
        check(!seen.some((event) => event._id === 'y'), 'watch told of a document that does not match')
      } finally {
        stop.abort()
      }
      const error = await outcome
      await rejects(() => Promise.reject(error), 'ABORTED', 'watch after its signal aborted')
    },
  ],
]
