import { setTimeout as delay } from 'node:timers/promises'
import type { IndexDriver } from '@tensorhub/core'
import type { TensorHub } from '../../src/index.ts'
import { LARGE, noise } from '../suite/values.ts'

const pieces = () => Array.from({ length: 3 }, (_, i) => new Uint8Array(noise(1024 * 1024, 40 + i).buffer))
async function* film() {
  yield* pieces()
}
const manyTensors = () => Array.from({ length: 4000 }, (_, i) => new Float32Array([i, i]))

export interface Scene {
  readonly hub: TensorHub
  readonly index: IndexDriver
  /** The file of a script that becomes a blob; only tasks need it. */
  readonly script: string
}

interface Scenario {
  /** What is acknowledged when it resolves. */
  act(scene: Scene): Promise<unknown>
  /** The hub collects by itself behind its deletes. */
  readonly collects?: true
  /** What a save's record is when it is there. Deletes, collections and tasks have none. */
  saved?(hub: TensorHub): Promise<[found: unknown, wanted: unknown]>
}

/** What a process does when it is killed at a numbered change of a store, in a hub that {@link prepare} made. */
export const SCENARIOS: Readonly<Record<string, Scenario>> = {
  'save dataset': {
    act: ({ hub }) => hub.saveDataset({ a: noise(LARGE, 1), b: noise(LARGE, 2), kept: noise(LARGE, 9) }, 'new'),
    saved: async (hub) => [
      await hub.findTopDataset('new'),
      { a: noise(LARGE, 1), b: noise(LARGE, 2), kept: noise(LARGE, 9) },
    ],
  },
  'save dataset, a stream': {
    act: ({ hub }) => hub.saveDataset(film(), 'new'),
    saved: async (hub) => [await hub.findTopDataset('new'), new Uint8Array(Buffer.concat(pieces()))],
  },
  'save dataset, small': {
    act: ({ hub }) => hub.saveDataset([1, 2, 3], 'new'),
    saved: async (hub) => [await hub.findTopDataset('new'), [1, 2, 3]],
  },
  'save model': {
    act: ({ hub }) => hub.saveModel({ architecture: 'mlp', weights: [noise(LARGE, 9), noise(LARGE, 3)] }, 'new'),
    saved: async (hub) => [
      await hub.findTopModel('new'),
      { architecture: 'mlp', weights: [noise(LARGE, 9), noise(LARGE, 3)] },
    ],
  },
  'save model, its manifest a blob': {
    act: ({ hub }) => hub.saveModel(manyTensors(), 'new'),
    saved: async (hub) => [await hub.findTopModel('new'), manyTensors()],
  },
  delete: { act: ({ hub }) => hub.deleteDatasets('old') },
  'delete with a collection behind it': {
    collects: true,
    async act({ hub, index }) {
      await hub.deleteDatasets('old')
      // The pass has begun when its day is taken; there is nothing yet that it could change.
      const day = { op: 'eq', path: ['_id'], value: 'gc' } as const
      while ((await index.count('_hub', day, {})) === 0) await delay(10)
    },
  },
  gc: {
    async act({ hub }) {
      await hub.gc({ grace: 0, allowShortGrace: true })
      await delay(5)
      await hub.gc({ grace: 0, allowShortGrace: true })
    },
  },
  'create a task': { act: ({ hub, script }) => hub.createTask('new', script, { idempotencyKey: 'once' }) },
  'claim and commit a task': { act: ({ hub }) => hub.runTopTask('t', { scripts: HANDLERS }) },
}

/** What runs the prepared task. */
export const HANDLERS = { handlers: { t: () => ({ a: 1 }) } }

/** What every hub holds before the crash: records whose chunks are shared, some of them deleted already; and a task. */
export async function prepare(hub: TensorHub, script: string): Promise<void> {
  await hub.saveDataset({ kept: noise(LARGE, 9), own: noise(LARGE, 10) }, 'kept')
  await hub.saveDataset({ kept: noise(LARGE, 9), own: noise(LARGE, 11) }, 'old')
  await hub.saveDataset(7, 'old')
  await hub.saveDataset(noise(LARGE, 12), 'gone')
  await hub.deleteDatasets('gone')
  await hub.createTask('t', script, { lease: 5000 })
}
