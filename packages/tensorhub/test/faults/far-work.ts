import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { type HubError, isHubError } from '@tensorhub/core'
import { expect } from 'vitest'
import type { TaskRecord, TensorHub } from '../../src/index.ts'
import { waitUntil } from '../tasks/wait-until.ts'

export interface Work {
  /** Each is run by a function of this process. */
  readonly tasks: number
  /** Half of them so small that they lie in their record, half with a chunk in the blob store. */
  readonly saves: number
}

export interface WorkDone {
  /** How often each task was begun, by its number. */
  readonly starts: ReadonlyMap<number, number>
  /** What `runTopTask` gave, beside `false`. */
  readonly outcomes: readonly string[]
  /** Saves that were acknowledged. */
  readonly acknowledged: number
  /** Typed errors that callers saw, as CODE/REASON, and how often. */
  readonly errors: Readonly<Record<string, number>>
}

const KIB = 1024

/** How far a task's function gets: it counts itself and gives its number. */
export function countingHandlers(starts: Map<number, number>) {
  return {
    t: ({ hyperParameters }: { readonly hyperParameters: Readonly<Record<string, unknown>> }) => {
      const n = Number(hyperParameters['n'])
      starts.set(n, (starts.get(n) ?? 0) + 1)
      return { n }
    },
  }
}

export async function createTasks(
  hub: TensorHub,
  tasks: number,
  more: { readonly lease?: number } = {},
): Promise<void> {
  const script = fileURLToPath(new URL('./far-script.ts', import.meta.url))
  for (let n = 0; n < tasks; n++)
    await hub.createTask('t', script, { hyperParameters: { n }, savedResultKeys: ['n'], ...more })
}

/**
 * Runners process all tasks while models are saved and loaded, each hub as a program of its own would: what may pass is tried again, and anything that is no
 * typed error ends the test.
 */
export async function workOn(hubs: readonly TensorHub[], starts: Map<number, number>, work: Work): Promise<WorkDone> {
  const errors: Record<string, number> = {}
  const outcomes: string[] = []
  const note = (error: unknown): HubError => {
    if (!isHubError(error)) throw error
    const name = error.reason === undefined ? error.code : `${error.code}/${error.reason}`
    errors[name] = (errors[name] ?? 0) + 1
    return error
  }
  let working = true
  const run = async (hub: TensorHub) => {
    while (working) {
      try {
        const outcome = await hub.runTopTask('t')
        if (outcome !== false) outcomes.push(outcome.status)
        else if (!(await hub.checkUnfinishedTask('t'))) return
        else await delay(20)
      } catch (error) {
        note(error)
      }
    }
  }
  let acknowledged = 0
  const save = async (hub: TensorHub, from: number, every: number) => {
    for (let n = from; n < work.saves; n += every) {
      for (;;) {
        try {
          await hub.models.save(`m${n}`, modelOf(n), { n })
          acknowledged++
          break
        } catch (error) {
          // Neither is one more that nobody was told of wrong; it must not be half there.
          const { code, retryable } = note(error)
          if (!retryable && code !== 'UNKNOWN') throw error
        }
      }
      const seen = async () => {
        try {
          const handle = await hub.models.open({ model_name: `m${n}` })
          return await handle?.load()
        } catch (error) {
          if (note(error).retryable) return undefined
          throw error
        }
      }
      expect(await waitUntil(seen, `loading m${n}`, 120_000)).toEqual(modelOf(n))
    }
  }
  const runners = hubs.map(run)
  try {
    await Promise.all(hubs.map((hub, i) => save(hub, i, hubs.length)))
    await Promise.all(runners)
  } finally {
    working = false
    await Promise.allSettled(runners)
  }
  return { starts, outcomes, acknowledged, errors }
}

/** Everything is as if no fault had been: each task once, each save whole, nothing missing and nothing half there. */
export async function expectWhole(hub: TensorHub, work: Work, done: WorkDone): Promise<void> {
  const tasks = await hub.tasks.find().toArray()
  expect(tasks.length).toBe(work.tasks)
  for (const task of tasks as TaskRecord[]) {
    const { n } = task.hyper_parameters as { n: number }
    expect(task).toMatchObject({ status: 'finished', attempts: 1, result: { n }, error: null })
  }
  expect([...done.starts.values()]).toEqual(Array.from({ length: work.tasks }, () => 1))
  expect(done.outcomes).toEqual(Array.from({ length: work.tasks }, () => 'finished'))
  expect(done.acknowledged).toBe(work.saves)
  const records = await hub.models.find().toArray()
  expect(new Set(records.map((record) => record['n'])).size).toBe(work.saves)
  for (const record of records) expect(await hub.models.handle(record).load()).toEqual(modelOf(Number(record['n'])))
  expect((await hub.check({ readData: true })).problems).toEqual([])
}

/** Of even numbers small, of others one chunk of its own. */
function modelOf(n: number): unknown {
  if (n % 2 === 0) return { n, text: 'small' }
  let state = (n + 1) * 2654435761
  const data = Float32Array.from({ length: (100 * KIB) / 4 }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  })
  return [data]
}
