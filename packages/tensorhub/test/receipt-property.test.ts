import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../src/index.ts'
import { collectAll } from './suite/receipts.ts'
import { LARGE, noise } from './suite/values.ts'

const SEEDS = 5
const tensors = Array.from({ length: SEEDS }, (_, seed) => noise(LARGE, seed + 1))

const step = fc.oneof(
  fc.record({
    op: fc.constant('save' as const),
    kind: fc.constantFrom('dataset' as const, 'model' as const),
    project: fc.constantFrom(0, 1),
    name: fc.constantFrom('a', 'b', 'c'),
    parts: fc.uniqueArray(fc.nat(SEEDS - 1), { maxLength: SEEDS }),
  }),
  fc.record({
    op: fc.constant('delete' as const),
    kind: fc.constantFrom('dataset' as const, 'model' as const),
    project: fc.constantFrom(0, 1),
    name: fc.constantFrom('a', 'b', 'c', null),
  }),
  fc.record({ op: fc.constant('collect' as const) }),
)

/** What the hub should hold: records with the tensors they name. */
interface Held {
  readonly kind: 'dataset' | 'model'
  readonly project: number
  readonly name: string
  readonly parts: readonly number[]
}

const namedBy = (records: readonly Held[]) => new Set(records.flatMap((record) => record.parts))

describe('receipts over any history', () => {
  it('a delete counts exactly the tensors that no record names any more, and collection frees exactly what none names', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
        const bytes = new Map<string, never>()
        const index = memoryIndex()
        const blobs = memoryBlobs(bytes)
        const hubs = [
          await TensorHub.connect({ index, blobs, projectName: 'p0' }),
          await TensorHub.connect({ index, blobs, projectName: 'p1' }),
        ] as const
        let held: Held[] = []
        for (const one of steps) {
          if (one.op === 'collect') {
            await collectAll(hubs[0])
            expect(bytes.size).toBe(namedBy(held).size)
            continue
          }
          const hub = hubs[one.project] as TensorHub
          if (one.op === 'save') {
            const value = { parts: one.parts.map((seed) => tensors[seed]) }
            await (one.kind === 'dataset' ? hub.saveDataset(value, one.name) : hub.saveModel(value, one.name))
            held.push(one)
            continue
          }
          const gone = held.filter(
            ({ kind, project, name }) =>
              kind === one.kind && project === one.project && (one.name === null || one.name === name),
          )
          held = held.filter((record) => !gone.includes(record))
          const left = namedBy(held)
          const free = [...namedBy(gone)].filter((seed) => !left.has(seed)).length
          const receipt = await (one.kind === 'dataset' ? hub.deleteDatasets(one.name) : hub.deleteModel(one.name))
          expect(receipt).toEqual({ documents: gone.length, blobs: free, bytes: free * LARGE })
        }
        for (const { kind, project, name, parts } of held) {
          const hub = hubs[project] as TensorHub
          const found = await (kind === 'dataset' ? hub.datasets : hub.models).count({ [`${kind}_name`]: name })
          expect(found).toBe(held.filter((r) => r.kind === kind && r.project === project && r.name === name).length)
          expect(parts.every((seed) => namedBy(held).has(seed))).toBe(true)
        }
        const report = await hubs[0].check({ readData: true })
        expect(report).toMatchObject({ documents: held.length, chunks: namedBy(held).size, problems: [] })
        await collectAll(hubs[1])
        expect(bytes.size).toBe(namedBy(held).size)
        for (const hub of hubs) await hub.close()
      }),
      { numRuns: 60 },
    )
  })
})
