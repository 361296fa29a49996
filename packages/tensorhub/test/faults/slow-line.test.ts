import { setTimeout as delay } from 'node:timers/promises'
import { isHubError } from '@tensorhub/core'
import { halfOpen } from '@tensorhub/servers/proxy'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { TaskRecord, TensorHub } from '../../src/index.ts'
import { waitUntil } from '../tasks/wait-until.ts'
import { createTasks } from './far-work.ts'
import { FAR_BLOBS, type ProxiedStores, proxiedStores } from './proxied-stores.ts'
import { BOUND, FULL } from './scale.ts'

const MIB = 1024 * 1024
/** 200 ms ± 50 there and back, 1 Mbit/s a connection. */
const LINE = { roundTrip: 200, jitter: 50, bandwidth: 125_000 }
const SIZE = FULL ? 10 * MIB : MIB / 2
/** Longer than the whole takes over such a line, since buffers on the way hide that it moves. */
const TIMEOUT = FULL ? 120_000 : 6000
const LEASE = 8000
const WRITES = ['PutObject', 'UploadPart', 'objects.insert', 'upload.put', 'Put Blob', 'Put Block']

for (const name of FAR_BLOBS)
  await serverSuite(
    serversOf('mongodb', name),
    `a slow line: MongoDB and ${name}`,
    () => {
      let stores: ProxiedStores
      const hubs: TensorHub[] = []
      beforeAll(async () => {
        stores = await proxiedStores(name, { timeout: TIMEOUT })
      })
      afterAll(async () => {
        for (const hub of hubs) await hub.close()
        await stores?.close()
      })

      it('F15: a save over 1 Mbit/s, its line half open in the middle, ends; heartbeats go on, and memory stays small', {
        timeout: BOUND,
      }, async () => {
        const urls = await stores.newUrls()
        const end = Promise.withResolvers<{ n: number }>()
        const hub = await stores.connect(urls, { scripts: { handlers: { t: () => end.promise } } })
        hubs.push(hub)
        await createTasks(hub, 1, { lease: LEASE })
        for (const proxy of stores.proxies) proxy.setLine(LINE)
        const running = hub.runTopTask('t')
        const task = () => hub.tasks.top({ status: 'running' }) as Promise<TaskRecord | undefined>
        await waitUntil(task, 'the task runs')

        const before = process.memoryUsage.rss()
        let most = before
        let silent = 0
        let last = Number.NaN
        let beats = 0
        let watching = true
        const watch = async () => {
          while (watching) {
            most = Math.max(most, process.memoryUsage.rss())
            const seen = await task()
            expect(seen, 'still claimed').toBeDefined()
            const beat = Number((seen as TaskRecord)['heartbeat_at'])
            if (beat !== last) {
              if (!Number.isNaN(last)) silent = Math.max(silent, beat - last)
              last = beat
              beats++
            }
            await delay(200)
          }
        }
        const watched = watch()
        // Of GridFS the chunks: nothing else is inserted just now.
        const operation = name === 'gridfs' ? 'insert' : WRITES
        const stuck = stores.blobs.on({ operation }, halfOpen(), { times: 1 })
        const value = noise(SIZE / 4)
        let outcome = 'saved'
        const began = performance.now()
        try {
          await hub.models.save('far', [value])
        } catch (error) {
          if (!isHubError(error)) throw error
          outcome = `${error.code}/${error.reason}`
          expect(error).toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|UNKNOWN|THROTTLED/) })
        }
        const took = (performance.now() - began) / 1000
        await delay(LEASE / 2)
        watching = false
        await watched
        for (const proxy of stores.proxies) {
          proxy.clearRules()
          proxy.setLine({ roundTrip: 0, jitter: 0, bandwidth: Number.POSITIVE_INFINITY })
        }
        end.resolve({ n: 0 })
        expect(await running).toMatchObject({ status: 'finished', attempt: 1 })
        console.info(
          `F15 MongoDB and ${name}: ${SIZE / MIB} MiB over 1 Mbit/s, ${stuck.hits} half open: ${outcome} after ${took.toFixed(1)} s; ${beats} heartbeats, ${silent} ms apart at most; +${Math.round((most - before) / MIB)} MiB`,
        )
        expect(stuck.hits).toBe(1)
        expect(beats).toBeGreaterThan(1)
        expect(silent).toBeLessThan(LEASE)
        expect(most - before).toBeLessThan(128 * MIB)
        if (outcome === 'saved') {
          const loaded = (await (await hub.models.open({ model_name: 'far' }))?.load()) as [Float32Array]
          expect(Buffer.compare(new Uint8Array(loaded[0].buffer), new Uint8Array(value.buffer))).toBe(0)
        } else expect(await hub.models.count()).toBe(0)
      })
    },
    { ours: true },
  )

function noise(length: number): Float32Array {
  let state = 4711
  return Float32Array.from({ length }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  })
}
