import type { BlobCan, ByteRange, Precondition, SignOptions, WriteOptions } from '../contracts/blob-driver.ts'
import { type ErrorPlace, HubError } from '../errors/hub-error.ts'
import { tooLarge } from './part-sizes.ts'

/**
 * What metadata may hold together, names and values: S3 takes 2 KiB, the others more, less what a driver adds of its own (a mark of the write).
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
 */
const META_BYTES = 2048 - 128

/** Options that are malformed, or that no blob store knows: INVALID, so that none is silently ignored. */
export function checkWriteForm(o: WriteOptions, at: ErrorPlace): void {
  known(o, ['signal', 'size', 'contentType', 'meta', 'when', 'sha256'], at)
  if (o.size !== undefined && (!Number.isSafeInteger(o.size) || o.size < 0))
    throw invalid('size must be a whole number of bytes.', 'size', at)
  checkSha256(o.sha256, at)
  if (o.contentType !== undefined && !/^[\w.+-]{1,100}\/[\w.+-]{1,100}(; ?[\w.-]+=[\w.-]+)*$/.test(o.contentType))
    throw invalid('contentType must be a media type, e.g. image/png.', 'contentType', at)
  if (o.meta !== undefined) checkMeta(o.meta, at)
  checkWhen(o.when, at)
}

export function checkCopyForm(o: { readonly when?: Precondition }, at: ErrorPlace): void {
  known(o, ['signal', 'when'], at)
  checkWhen(o.when, at)
}

export function checkReadForm(o: { readonly range?: ByteRange; readonly ifVersion?: string }, at: ErrorPlace): void {
  known(o, ['signal', 'range', 'ifVersion'], at)
  checkVersion(o.ifVersion, 'ifVersion', at)
  const { range } = o
  if (range === undefined) return
  const whole = (n: number) => Number.isSafeInteger(n) && n >= 0
  if (!whole(range.offset) || (range.length !== undefined && !whole(range.length)))
    throw invalid('A range is { offset, length } in whole bytes.', 'range', at)
}

export function checkListForm(o: { readonly limit?: number }, at: ErrorPlace): void {
  known(o, ['signal', 'after', 'limit'], at)
  if (o.limit !== undefined && (!Number.isInteger(o.limit) || o.limit < 0))
    throw invalid('limit must be a whole number from 0.', 'limit', at)
}

export function checkSignForm(o: SignOptions, at: ErrorPlace): void {
  known(o, ['signal', 'method', 'expiresIn', 'sha256'], at)
  if (o.method !== 'GET' && o.method !== 'PUT') throw invalid("method must be 'GET' or 'PUT'.", 'method', at)
  if (!Number.isInteger(o.expiresIn) || o.expiresIn < 1)
    throw invalid('expiresIn must be a whole number of seconds from 1.', 'expiresIn', at)
  checkSha256(o.sha256, at)
  if (o.sha256 !== undefined && o.method !== 'PUT') throw invalid('sha256 is for PUT only.', 'sha256', at)
}

export function checkSweepForm(o: { readonly before: Date }, at: ErrorPlace): void {
  known(o, ['signal', 'before', 'dryRun'], at)
  if (!(o.before instanceof Date) || Number.isNaN(o.before.getTime()))
    throw invalid('before must be a Date.', 'before', at)
}

/** Refuses what this store cannot do, before any request: one that dropped a condition would answer as if it had held. */
export function checkCan(
  o: Pick<WriteOptions, 'when' | 'contentType' | 'meta'>,
  size: number | undefined,
  can: Readonly<BlobCan>,
  at: ErrorPlace,
): void {
  if (o.when && 'ifAbsent' in o.when && !can.ifAbsent) throw unsupported('writing only if absent', 'when', at)
  if (o.when && 'ifVersion' in o.when && !can.ifVersion) throw unsupported('writing only over a version', 'when', at)
  for (const name of ['contentType', 'meta'] as const)
    if (o[name] !== undefined && !can.meta) throw unsupported('content types and metadata', name, at)
  if (size !== undefined && size > can.sizeMax) throw tooLarge(can.sizeMax, size)
}

export function unsupported(what: string, path: string | undefined, at: ErrorPlace): HubError {
  return new HubError(
    'UNSUPPORTED',
    `The ${at.scheme} blob store does not support ${what}, or not in this place (see its README); leave it out, or use another store.`,
    { at, reason: 'CAPABILITY', ...(path === undefined ? {} : { path }) },
  )
}

/** A condition is one of two; `{ ifAbsent: false }` or an empty object would be none, said by mistake. */
function checkWhen(when: Precondition | undefined, at: ErrorPlace): void {
  if (when === undefined) return
  const parts = typeof when === 'object' && when !== null ? Object.entries(when) : []
  const [name, value] = parts[0] ?? []
  if (parts.length === 1 && name === 'ifAbsent' && value === true) return
  if (parts.length !== 1 || name !== 'ifVersion')
    throw invalid('when is { ifAbsent: true } or { ifVersion: version }.', 'when', at)
  checkVersion(value, 'when.ifVersion', at)
}

function checkVersion(version: unknown, path: string, at: ErrorPlace): void {
  if (version !== undefined && (typeof version !== 'string' || version === ''))
    throw invalid(`${path} must be the version that write, stat, read or list gave.`, path, at)
}

function checkSha256(sha256: string | undefined, at: ErrorPlace): void {
  if (sha256 !== undefined && !/^[0-9a-f]{64}$/.test(sha256))
    throw invalid('sha256 must be 64 lower-case hex digits.', 'sha256', at)
}

/** Metadata travels in HTTP headers, where names lose their case and values their edges; only what survives everywhere is taken. */
function checkMeta(meta: Readonly<Record<string, string>>, at: ErrorPlace): void {
  let bytes = 0
  for (const [name, value] of Object.entries(meta)) {
    const path = `meta.${name}`
    if (!/^[a-z][a-z0-9_-]{0,63}$/.test(name))
      throw invalid(`The metadata name '${name}' must be a-z, 0-9, _ and -, from a letter, at most 64.`, path, at)
    if (typeof value !== 'string' || !/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/.test(value))
      throw invalid('A metadata value must be printable ASCII without space at its ends.', path, at)
    bytes += name.length + value.length
  }
  if (bytes > META_BYTES) throw invalid(`The metadata has ${bytes} bytes; at most ${META_BYTES}.`, 'meta', at)
}

function known(o: object, names: readonly string[], at: ErrorPlace): void {
  const extra = Object.keys(o).find((name) => !names.includes(name))
  if (extra !== undefined) throw invalid(`${at.op} has no option '${extra}'; it knows ${names.join(', ')}.`, extra, at)
}

function invalid(message: string, path: string, at: ErrorPlace): HubError {
  return new HubError('INVALID', message, { at, path })
}
