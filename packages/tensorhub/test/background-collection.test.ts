import { type IndexDriver, openIndex } from '@tensorhub/core'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../src/index.ts'
import { shiftedClock } from './faults/shifted-clock.ts'
import { LARGE, noise } from './suite/values.ts'

const HOUR = 3_600_000

/** The same index, which tells what was asked of it. */
function listening(driver: IndexDriver, calls: string[]): IndexDriver {
  return new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function') return member
      return (...args: unknown[]) => {
        calls.push(`${String(name)} ${String(args[0])}`)
        return Reflect.apply(member, target, args)
      }
    },
  })
}

describe('an embedded hub collects by itself', () => {
  const stores = () => {
    const documents = new Map()
    const bytes = new Map<string, never>()
    const index = openIndex(memoryIndex(documents))
    const at = async (hours: number, collect = true, blobs = memoryBlobs(bytes)) => {
      const calls: string[] = []
      const driver = listening(shiftedClock(memoryIndex(documents), hours * HOUR), calls)
      const hub = await TensorHub.connect({ index: driver, blobs, projectName: 'p', collect })
      return { hub, calls }
    }
    const states = async () => {
      const rows: unknown[] = []
      for await (const row of index.find('_chunks', { op: 'everything' })) rows.push(row['state'])
      return rows
    }
    return { at, bytes, states }
  }

  /** Until it holds, without an end of its own: the test's is the bound. */
  const until = async (holds: () => boolean | Promise<boolean>) => {
    while (!(await holds())) await new Promise((resolve) => setTimeout(resolve, 5))
  }

  it('after a delete, at most once a day over all processes', async () => {
    const { at, bytes, states } = stores()
    const first = await at(0)
    await first.hub.saveDataset(noise(LARGE, 1), 'a')
    await first.hub.saveDataset(0, 'b')
    await first.hub.saveDataset(0, 'c')
    await first.hub.close()
    // The pins have lapsed; the pass condemns what nothing names.
    const second = await at(60)
    await second.hub.deleteDatasets('a')
    await until(async () => (await states())[0] === 'condemned')
    await second.hub.close()
    // Another process, hours later on the same day: the claim fails, and nothing is read for a pass.
    const third = await at(65)
    await third.hub.deleteDatasets('b')
    await until(() => third.calls.includes('insert _hub'))
    await third.hub.datasets.count()
    expect(third.calls.filter((call) => call === 'find _chunks')).toEqual([])
    await third.hub.close()
    expect(bytes.size).toBe(1)
    // The next day: the chunk is freed.
    const fourth = await at(85)
    await fourth.hub.deleteDatasets('c')
    await until(() => bytes.size === 0)
    await until(async () => (await states()).length === 0)
    await fourth.hub.close()
  })

  it('also where each process only deletes and ends: a pass is let end, and one that is stopped does not use up the day', async () => {
    const { at, bytes } = stores()
    const first = await at(0)
    await first.hub.saveDataset(noise(LARGE, 1), 'a')
    for (const name of ['b', 'c', 'd', 'e']) await first.hub.saveDataset(0, name)
    await first.hub.close()
    const short = async (hours: number, name: string) => {
      const { hub, calls } = await at(hours)
      await hub.deleteDatasets(name)
      await hub.close()
      return calls
    }
    await short(60, 'a') // Condemns.
    await short(90, 'b') // Frees.
    expect(bytes.size).toBe(0)
    const blobs = memoryBlobs(bytes)
    let listed = false
    blobs.list = async function* (_prefix, { signal }) {
      listed = true
      await new Promise((_, fail) => signal?.addEventListener('abort', () => fail(signal.reason)))
    }
    const held = await at(120, true, blobs)
    await held.hub.deleteDatasets('c')
    await held.hub.close()
    expect(listed).toBe(true)
    const passes = (calls: readonly string[]) => calls.includes('find _chunks')
    expect(passes(await short(120.5, 'd'))).toBe(false)
    expect(passes(await short(121.5, 'e'))).toBe(true)
  })

  it('not when it was told not to, nor without a delete', async () => {
    const { at } = stores()
    const { hub, calls } = await at(0, false)
    await hub.saveDataset(noise(LARGE, 1), 'a')
    await hub.deleteDatasets('a')
    await hub.close()
    expect(calls.filter((call) => /_hub/.test(call) && !/format/.test(call) && !call.startsWith('find'))).toEqual([
      'insert _hub',
    ])
    const again = await at(60)
    expect(await again.hub.deleteDatasets('a')).toMatchObject({ documents: 0 })
    await again.hub.close()
    expect(again.calls.filter((call) => call === 'takeOne _hub')).toEqual([])
  })

  it('a pass that fails is told as a warning, and the delete stands', async () => {
    const warned = new Promise<Error & { code?: string }>((resolve) => process.once('warning', resolve))
    const driver = memoryBlobs()
    await using hub = await TensorHub.connect({
      index: memoryIndex(),
      blobs: new Proxy(driver, {
        get(target, name) {
          if (name === 'list')
            return () => {
              throw new Error('the listing failed')
            }
          const member: unknown = Reflect.get(target, name, target)
          return typeof member === 'function' ? member.bind(target) : member
        },
      }),
      projectName: 'p',
      collect: true,
    })
    await hub.saveDataset(1, 'x')
    expect(await hub.deleteDatasets('x')).toMatchObject({ documents: 1 })
    expect(await warned).toMatchObject({
      code: 'TENSORHUB_COLLECTION',
      message: expect.stringContaining('the listing failed'),
    })
    expect(await hub.datasets.count()).toBe(0)
  })
})
