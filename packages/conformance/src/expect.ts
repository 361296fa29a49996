import { inspect, isDeepStrictEqual } from 'node:util'
import { type ErrorCode, type HubError, isHubError, type Value } from '@tensorhub/core'

/** A suite's finding: what the driver did, and what it should have done. */
export class ConformanceError extends Error {
  override readonly name = 'ConformanceError'
}

export function check(condition: unknown, message: string): asserts condition {
  if (!condition) throw new ConformanceError(message)
}

export function equal(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new ConformanceError(`${what}: got ${show(actual)}, expected ${show(expected)}`)
}

/** Documents are compared by their values; the order of keys may differ. */
export function sameDocs(actual: readonly Value[], expected: readonly Value[], what: string): void {
  equal(actual.map(plain), expected.map(plain), what)
}

/** Runs the call and wants a HubError of one of these codes, complete with its place. */
export async function rejects(
  call: () => unknown,
  code: ErrorCode | readonly ErrorCode[],
  what: string,
): Promise<HubError> {
  const codes = typeof code === 'string' ? [code] : code
  let result: unknown
  try {
    result = await call()
  } catch (error) {
    check(isHubError(error), `${what}: rejected with ${show(error)}, which is no HubError`)
    check(
      codes.includes(error.code),
      `${what}: rejected with ${error.code} (${error.message}), expected ${codes.join(' or ')}`,
    )
    check(
      typeof error.at?.scheme === 'string' && typeof error.at.op === 'string',
      `${what}: the error has no place (at.scheme, at.op)`,
    )
    check(error.message.length > 0, `${what}: the error has no message`)
    check(
      error.code !== 'ABORTED' || error.name === 'AbortError',
      `${what}: an aborted call's error is named ${error.name}, not AbortError`,
    )
    return error
  }
  throw new ConformanceError(`${what}: gave ${show(result)} instead of rejecting with ${codes.join(' or ')}`)
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

export function show(value: unknown): string {
  const text = inspect(value, { depth: 8, maxStringLength: 200, maxArrayLength: 50, breakLength: 200 })
  return text.length > 2000 ? `${text.slice(0, 2000)}…` : text
}

/** Keys sorted, prototypes dropped: what is left are the values. */
function plain(value: Value): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Date) return { date: value.getTime() }
  if (Array.isArray(value)) return value.map(plain)
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, part]) => [key, plain(part as Value)])
}

/** Repeats a check until it holds, for half a minute; then its last failure is the finding. */
export async function eventually(holds: () => Promise<void>): Promise<void> {
  for (const deadline = Date.now() + 30_000; ; ) {
    try {
      return await holds()
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
}
