/**
 * What runner and child say to each other: one JSON line each, over pipes of their own. Imports nothing, so that a child starts fast.
 * Dates, NaN, infinities and bigints are tagged as in the canonical document form.
 */
export type ToChild =
  | {
      readonly kind: 'start'
      readonly parent: number
      /** URLs of the entry file, and of the folder of unpacked files (ending in a slash). */
      readonly entry: string
      readonly root: string
      /** URLs of files in the runner's own folders; bare imports are looked up from each in turn. */
      readonly bases: readonly string[]
      /** sha256 in hex by a file's relative name. */
      readonly files: Readonly<Record<string, string>>
      readonly task: {
        readonly id: string
        readonly name: string
        readonly attempt: number
        readonly epoch: number
        readonly hyperParameters: unknown
      }
      readonly connection: unknown
      readonly keys: readonly string[]
    }
  | { readonly kind: 'abort'; readonly reason: string }

export type FromChild =
  | { readonly kind: 'progress'; readonly value: unknown }
  /** The results that can be stored; `bad` names those that cannot, `missing` those that were asked for and not given. */
  | {
      readonly kind: 'result'
      readonly values: unknown
      readonly bad: readonly { readonly key: string; readonly why: string }[]
      readonly missing: readonly string[]
    }
  | { readonly kind: 'error'; readonly name: string; readonly message: string; readonly stack: string }

/** The exit code of a child whose script waits for nothing any more: Node's own for an unsettled top-level await. */
export const RAN_DRY = 13

export function encodeLine(value: unknown): string {
  return `${JSON.stringify(tag(value, 0))}\n`
}

export function decodeLine(line: string): unknown {
  return untag(JSON.parse(line))
}

function tag(value: unknown, depth: number): unknown {
  if (depth > 220) throw new TypeError('the value is nested too deep or contains itself')
  switch (typeof value) {
    case 'number':
      if (Object.is(value, -0)) return { $numberDouble: '-0' }
      return Number.isFinite(value) ? value : { $numberDouble: String(value) }
    case 'bigint':
      return { $numberLong: String(value) }
    case 'function':
    case 'symbol':
      throw new TypeError(`a ${typeof value} cannot be stored`)
    case 'object': {
      if (value === null) return null
      if (value instanceof Date) {
        if (Number.isNaN(value.getTime())) throw new TypeError('an invalid Date cannot be stored')
        return { $date: value.getTime() }
      }
      if (Array.isArray(value))
        return Array.from(value, (part: unknown, i) => {
          if (part === undefined) throw new TypeError(`an array with a hole or undefined (at ${i}) cannot be stored`)
          return tag(part, depth + 1)
        })
      const prototype: unknown = Object.getPrototypeOf(value)
      if (prototype !== null && Object.getPrototypeOf(prototype) !== null) {
        throw new TypeError(
          `a ${value.constructor?.name ?? 'class instance'} cannot be stored in a task's result; save it with task.hub, or give plain numbers, strings and objects`,
        )
      }
      const out: Record<string, unknown> = {}
      for (const [key, part] of Object.entries(value)) {
        if (part === undefined) continue
        // It would come out as what it looks like; and no document can hold it anyway.
        if (key.startsWith('$')) throw new TypeError(`the key '${key}' cannot be stored: it begins with $`)
        Object.defineProperty(out, key, {
          value: tag(part, depth + 1),
          enumerable: true,
          writable: true,
          configurable: true,
        })
      }
      return out
    }
    default:
      return value
  }
}

function untag(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(untag)
  const held = value as Record<string, unknown>
  if (Object.hasOwn(held, '$date')) return new Date(held['$date'] as number)
  if (Object.hasOwn(held, '$numberDouble')) return Number(held['$numberDouble'])
  if (Object.hasOwn(held, '$numberLong')) return BigInt(held['$numberLong'] as string)
  const out: Record<string, unknown> = {}
  for (const [key, part] of Object.entries(held))
    Object.defineProperty(out, key, { value: untag(part), enumerable: true, writable: true, configurable: true })
  return out
}

/** A line of a child as a message; undefined for anything else, since a script can write to any of its descriptors. */
export function messageOf(line: string): FromChild | undefined {
  let value: unknown
  try {
    value = decodeLine(line)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { kind, values, bad, missing, name, message, stack } = value as Record<string, unknown>
  switch (kind) {
    case 'progress':
      return { kind, value: (value as Record<string, unknown>)['value'] ?? null }
    case 'error':
      return typeof name === 'string' && typeof message === 'string' && typeof stack === 'string'
        ? { kind, name, message, stack }
        : undefined
    case 'result': {
      if (
        typeof values !== 'object' ||
        values === null ||
        Array.isArray(values) ||
        !Array.isArray(bad) ||
        !Array.isArray(missing)
      )
        return undefined
      const named = bad.every(
        (part: unknown) =>
          typeof part === 'object' && part !== null && typeof (part as Record<string, unknown>)['key'] === 'string',
      )
      return named && missing.every((part) => typeof part === 'string')
        ? { kind, values, bad: bad as { key: string; why: string }[], missing: missing as string[] }
        : undefined
    }
    default:
      return undefined
  }
}
