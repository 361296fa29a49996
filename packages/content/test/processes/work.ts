import type { RealStore } from '../real-store.ts'
import { MIB, noise } from '../store.ts'

/** Values of the processes, made anew from their names by whoever checks them. */
export const VALUES: Readonly<Record<string, () => unknown>> = {
  /** Two chunks of their own, one shared chunk, a tree. */
  weights: () => ({ w: noise(MIB, 1), v: noise(MIB / 4, 2), bias: noise(4096, 3), epoch: 1, note: 'n'.repeat(9000) }),
  /** Shares a chunk with `weights`. */
  next: () => ({ w: noise(MIB, 1), v: noise(MIB / 4, 4), bias: noise(4096, 5), epoch: 2, note: 'n'.repeat(9000) }),
  /** Its manifest is a blob of its own. */
  layers: () => Object.fromEntries(Array.from({ length: 4200 }, (_, i) => [`layer-${i}`, new Float32Array([i])])),
  /** Inside its document. */
  small: () => ({ accuracy: 0.5 }),
}

export const FILE = () => new Uint8Array(noise(3 * MIB, 9).buffer)

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  for (let at = 0; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000)
}

/** Everything a process does with content. `told` hears of each step when it is acknowledged. */
export async function work(
  store: RealStore,
  told: (line: { saved?: string; deleted?: string; asked?: string }) => void,
) {
  for (const name of ['weights', 'next', 'layers', 'small']) {
    await store.save(name, VALUES[name]?.())
    told({ saved: name })
  }
  await store.save('file', pieces(FILE()))
  told({ saved: 'file' })
  for (const name of ['weights', 'layers']) {
    told({ asked: name })
    await store.index.delete('things', { op: 'eq', path: ['_id'], value: name })
    told({ deleted: name })
  }
  await store.collect()
  await store.save('again', VALUES.weights?.())
  told({ saved: 'again' })
}
