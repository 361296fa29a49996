import type { Change } from '../contracts/predicate.ts'
import type { Doc, Path, Value } from '../contracts/value.ts'
import { HubError } from '../errors/hub-error.ts'
import { isObject } from './compare.ts'
import { checkValue } from './document-check.ts'
import { parsePath } from './path.ts'

/**
 * Checks a change before any I/O: paths well-formed and none digits-only, no path twice nor one inside another, values storable, `_id` untouched,
 * increments finite. Gives a copy.
 *
 * @throws INVALID naming the path.
 */
export function checkChange(change: Change): Change {
  checkShape(change)
  const paths: { text: string; path: Path }[] = []
  const claim = (text: string) => {
    const path = parsePath(text, 'update')
    if (path[0] === '_id') throw refuse(`_id cannot be changed.`, text)
    if (path.some((step) => /^\d+$/.test(step)))
      throw refuse(`The path '${text}' has a step of digits only; elements of arrays cannot be changed by path.`, text)
    for (const other of paths) {
      if (isPrefix(other.path, path) || isPrefix(path, other.path))
        throw refuse(`The change names '${other.text}' and '${text}', which overlap.`, text)
    }
    paths.push({ text, path })
  }
  const set: Record<string, Value> = {}
  for (const [text, value] of Object.entries(change.set ?? {})) {
    claim(text)
    set[text] = checkValue(value, text, text.split('.').length)
  }
  for (const text of change.unset ?? []) claim(text)
  const inc: Record<string, number> = {}
  for (const [text, by] of Object.entries(change.inc ?? {})) {
    claim(text)
    if (typeof by !== 'number' || !Number.isFinite(by))
      throw refuse(`The increment of '${text}' must be a finite number.`, text)
    inc[text] = by === 0 ? 0 : by
  }
  if (paths.length === 0) throw refuse('The change is empty; give set, unset or inc.', '')
  return { set, unset: [...(change.unset ?? [])], inc }
}

/**
 * The changed copy of a document: the executable definition of `Change`. The change must have passed {@link checkChange}.
 *
 * @throws INVALID when a parent is no object, or an `inc` meets a non-number; then nothing is changed.
 */
export function applyChange(doc: Doc, change: Change): Doc {
  let result: { readonly [key: string]: Value } = doc
  for (const [text, value] of Object.entries(change.set ?? {})) result = put(result, text.split('.'), text, () => value)
  for (const [text, by] of Object.entries(change.inc ?? {})) {
    result = put(result, text.split('.'), text, (old) => sum(old, by, text, doc._id))
  }
  for (const text of change.unset ?? []) result = remove(result, text.split('.'), text)
  return result as Doc
}

function put(
  node: { readonly [key: string]: Value },
  path: Path,
  text: string,
  value: (old: Value | undefined) => Value,
): { readonly [key: string]: Value } {
  const [step, ...rest] = path as [string, ...string[]]
  const old = Object.hasOwn(node, step) ? node[step] : undefined
  if (rest.length === 0) return { ...node, [step]: value(old) }
  if (old !== undefined && !isObject(old)) throw refuse(`The parent '${step}' of '${text}' is no object.`, text)
  return { ...node, [step]: put(old ?? {}, rest, text, value) }
}

function remove(node: { readonly [key: string]: Value }, path: Path, text: string): { readonly [key: string]: Value } {
  const [step, ...rest] = path as [string, ...string[]]
  const old = Object.hasOwn(node, step) ? node[step] : undefined
  if (old === undefined) return node
  if (rest.length === 0) {
    const { [step]: _gone, ...kept } = node
    return kept
  }
  if (!isObject(old)) throw refuse(`The parent '${step}' of '${text}' is no object.`, text)
  return { ...node, [step]: remove(old, rest, text) }
}

/** An increment's result; one that can no longer be stored exactly is refused rather than rounded. */
function sum(old: Value | undefined, by: number, text: string, id: string): Value {
  if (old === undefined) return by
  let result: number | bigint
  if (typeof old === 'number') result = old + by
  else if (typeof old === 'bigint' && Number.isSafeInteger(by)) result = old + BigInt(by)
  else throw refuse(`'${text}' is not a number in document '${id}' and cannot be incremented.`, text)
  return checkValue(result, text)
}

/** Nothing is silently ignored: `$set` or `push` would look like a change that did nothing. */
function checkShape(change: unknown): void {
  if (!isObject(change)) throw refuse('A change must be an object of set, unset and inc.', '')
  for (const [part, given] of Object.entries(change)) {
    if (part !== 'set' && part !== 'unset' && part !== 'inc') {
      throw refuse(`A change has no part '${part}'; it knows set, unset and inc.`, part)
    }
    const fits =
      part === 'unset' ? Array.isArray(given) && given.every((path) => typeof path === 'string') : isObject(given)
    if (given !== undefined && !fits) {
      throw refuse(part === 'unset' ? 'unset must be an array of paths.' : `${part} must be an object of paths.`, part)
    }
  }
}

function isPrefix(a: Path, b: Path): boolean {
  return a.length <= b.length && a.every((step, i) => step === b[i])
}

function refuse(message: string, path: string): HubError {
  return new HubError('INVALID', message, { at: { scheme: 'core', op: 'update' }, path, reason: 'CHANGE_REFUSED' })
}
