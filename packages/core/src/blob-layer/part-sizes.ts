import { HubError } from '../errors/hub-error.ts'

/** What a store takes of one upload, in bytes or counts; a driver passes its `can`. */
export interface PartLimits {
  /** Smallest part, the last one aside. */
  readonly partMin: number
  readonly partMax: number
  /** Most parts of one upload. */
  readonly partsMax: number
  /** Largest blob. */
  readonly sizeMax: number
}

/** The size of each part: equal ones for a known size, growing ones for an unknown. */
export interface PartSizes {
  /** Bytes of part `n` (from 1), given how many came before; the last part may be smaller. */
  of(n: number, before: number): number
  /** The largest body these parts can hold. */
  readonly most: number
}

/** Parts of one size, before they grow by the next step: a tenth of all parts. */
const STEPS = 10

/**
 * Chooses part sizes such that `partsMax` is never exceeded.
 *
 * A body of known size is cut into equal parts (some S3-likes demand it), as small as the count allows. One of unknown size begins with small parts; after
 * each tenth of `partsMax` they grow by the factor that just reaches `sizeMax`. On S3 (5 MiB, 10,000 parts, 5 TiB) that is about 2, so parts stay at
 * 5 MiB for the first 5 GB. The last part takes what is left, up to `partMax`.
 *
 * @param preferred The size of a part where the limits leave a choice; default `partMin`.
 * @throws INVALID when the size is beyond what the store takes, or the limits are none.
 */
export function partSizes(size: number | undefined, limits: PartLimits, preferred = limits.partMin): PartSizes {
  const { partMin, partMax, partsMax, sizeMax } = limits
  for (const [name, value] of Object.entries({ partMin, partMax, partsMax, sizeMax, partSize: preferred }))
    if (!(Number.isInteger(value) && value >= 1)) throw refused(`${name} must be a whole number from 1, not ${value}.`)
  if (partMin > partMax) throw refused(`partMin is ${partMin}, more than the partMax of ${partMax}.`)
  const first = Math.min(Math.max(preferred, partMin), partMax)
  const most = Math.min(sizeMax, partMax * partsMax)
  if (size !== undefined) {
    if (size > most) throw tooLarge(most, size)
    const equal = Math.max(first, Math.ceil(size / partsMax))
    return { of: () => equal, most: size }
  }
  const step = (n: number) => Math.floor((STEPS * (n - 1)) / partsMax)
  const sizeOf = (n: number, factor: number) => Math.min(partMax, Math.floor(first * factor ** step(n)))
  const factor = leastFactor((by) => capacity(partsMax, (n) => sizeOf(n, by)) >= most)
  return {
    of: (n, before) => (n === partsMax ? Math.min(partMax, most - before) : sizeOf(n, factor)),
    most,
  }
}

/** Bytes that the parts hold together, the last one at its own size. Parts of one step are counted at once: there may be very many. */
function capacity(partsMax: number, sizeOf: (n: number) => number): number {
  let total = 0
  for (let i = 0; i < STEPS; i++) {
    // The first part of step i, and of the next: floor(STEPS * (n - 1) / partsMax) = i.
    const from = Math.ceil((i * partsMax) / STEPS) + 1
    const to = Math.ceil(((i + 1) * partsMax) / STEPS) + 1
    if (to > from) total += (to - from) * sizeOf(from)
  }
  return total
}

/** The least growth that is enough, to a thousandth; where none is, the fastest tried. */
function leastFactor(enough: (factor: number) => boolean): number {
  if (enough(1)) return 1
  let low = 1
  let high = 1024
  while (high - low > 0.001) {
    const middle = (low + high) / 2
    if (enough(middle)) high = middle
    else low = middle
  }
  return high
}

/** The error of a body that no parts can hold. */
export function tooLarge(most: number, size?: number): HubError {
  return new HubError(
    'INVALID',
    size === undefined
      ? `The body is larger than the ${most} bytes the store takes as one blob of unknown size.`
      : `A blob of ${size} bytes is larger than the ${most} the store takes.`,
    { at: { scheme: 'core', op: 'write' }, path: 'size', reason: 'BLOB_TOO_LARGE' },
  )
}

function refused(message: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'core', op: 'write' }, reason: 'PART_LIMITS' })
}
