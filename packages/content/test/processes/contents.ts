import { MIB, noise } from '../store.ts'

/** A value made of some of twenty contents, each a chunk of its own. */
export function pickOf(pick: readonly number[]): Record<string, unknown> {
  return { ...Object.fromEntries(pick.map((n) => [`c${n}`, noise(MIB / 16, n + 1)])), pad: 'p'.repeat(9000) }
}
