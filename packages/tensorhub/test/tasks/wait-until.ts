import { setTimeout as delay } from 'node:timers/promises'

/** Asks until the answer is truthy, and gives it; the bound only stops a test that would hang. */
export async function waitUntil<T>(ask: () => Promise<T> | T, what: string, bound = 60_000): Promise<NonNullable<T>> {
  const end = performance.now() + bound
  for (;;) {
    const answer = await ask()
    if (answer) return answer
    if (performance.now() > end) throw new Error(`waited in vain: ${what}`)
    await delay(20)
  }
}
