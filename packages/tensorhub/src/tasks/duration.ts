import { HubError } from '@tensorhub/core'

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** A duration in ms: a number of them, or text such as `'30s'`, `'5m'`, `'2h'`. @throws INVALID naming the option. */
export function parseDuration(value: unknown, name: string): number {
  const parts = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : undefined
  const ms =
    typeof value === 'number' ? value : parts ? Number(parts[1]) * (UNITS[parts[2] as string] as number) : Number.NaN
  if (!Number.isFinite(ms) || ms < 0) {
    throw new HubError('INVALID', `'${name}' must be milliseconds or a text like '30s', '5m', '2h'.`, {
      at: { scheme: 'hub', op: 'createTask' },
      path: name,
    })
  }
  return Math.round(ms)
}
