import type { Predicate } from '../contracts/predicate.ts'
import type { Doc, Operand, Path, TypeName, Value } from '../contracts/value.ts'
import { compareValues, isObject, RANK, rankOf } from './compare.ts'
import { pathValues } from './path-values.ts'
import { compileRegex } from './regex-subset.ts'

/**
 * Whether a document matches: the executable definition of the filter language, to which every driver is held. MongoDB 8's answers, row by row
 * (docs/query.md).
 */
export function matches(where: Predicate, doc: Doc): boolean {
  return test(where, doc, false)
}

function test(where: Predicate, root: Value, rootIsElement: boolean): boolean {
  switch (where.op) {
    case 'everything':
      return true
    case 'and':
      return where.of.every((part) => test(part, root, rootIsElement))
    case 'or':
      return where.of.some((part) => test(part, root, rootIsElement))
    case 'nor':
      return !where.of.some((part) => test(part, root, rootIsElement))
    case 'not':
      return !test(where.of, root, rootIsElement)
    case 'eq':
      return some(root, where.path, rootIsElement, (value) => equal(value, where.value))
    case 'ne':
      return !some(root, where.path, rootIsElement, (value) => equal(value, where.value))
    case 'in':
      return some(root, where.path, rootIsElement, (value) => where.values.some((operand) => equal(value, operand)))
    case 'nin':
      return !some(root, where.path, rootIsElement, (value) => where.values.some((operand) => equal(value, operand)))
    case 'all':
      return (
        where.values.length > 0 &&
        where.values.every((operand) => some(root, where.path, rootIsElement, (value) => equal(value, operand)))
      )
    case 'gt':
    case 'gte':
    case 'lt':
    case 'lte': {
      const { op, value: operand } = where
      return some(root, where.path, rootIsElement, (value) => inRange(op, value, operand))
    }
    case 'exists':
      return some(root, where.path, rootIsElement, (value) => value !== undefined) === where.value
    case 'size':
      return some(
        root,
        where.path,
        rootIsElement,
        (value) => Array.isArray(value) && value.length === where.value,
        false,
      )
    case 'elemMatch':
      return some(
        root,
        where.path,
        rootIsElement,
        (value) => Array.isArray(value) && value.some((element: Value) => matchesElement(where.of, element)),
        false,
      )
    case 'type':
      return some(
        root,
        where.path,
        rootIsElement,
        (value) => value !== undefined && where.types.includes(typeName(value)),
      )
    case 'prefix':
      return some(
        root,
        where.path,
        rootIsElement,
        (value) => typeof value === 'string' && value.startsWith(where.value),
      )
    case 'contains':
      return some(root, where.path, rootIsElement, (value) => typeof value === 'string' && value.includes(where.value))
    case 'regex': {
      const regex = compileRegex(where.pattern, where.ignoreCase)
      return some(root, where.path, rootIsElement, (value) => typeof value === 'string' && regex(value))
    }
  }
}

function some(
  root: Value,
  path: Path,
  rootIsElement: boolean,
  holds: (value: Value | undefined) => boolean,
  expand = true,
): boolean {
  for (const value of pathValues(root, path, expand, rootIsElement)) if (holds(value)) return true
  return false
}

/** `$elemMatch` with operators tests the element itself; with fields, only an element that has fields (an object or an array) can match. */
function matchesElement(of: Predicate, element: Value): boolean {
  return (onElement(of) || isObject(element) || Array.isArray(element)) && test(of, element, true)
}

function onElement(where: Predicate): boolean {
  if ('path' in where) return where.path.length === 0
  if (where.op === 'not') return onElement(where.of)
  return where.op !== 'everything' && where.of.some(onElement)
}

/** Equality of a found value with an operand; a missing field equals null. */
function equal(value: Value | undefined, operand: Operand): boolean {
  return compareValues(value, operand as Value) === 0
}

/** Comparison inside one type bracket; null and NaN equal only themselves. */
function inRange(op: Predicate['op'], value: Value | undefined, operand: Operand): boolean {
  if (rankOf(value) !== rankOf(operand as Value)) return false
  const order = compareValues(value, operand as Value)
  if (order === 0) return op === 'gte' || op === 'lte'
  if (Number.isNaN(value) || Number.isNaN(operand)) return false
  return op === 'gt' || op === 'gte' ? order > 0 : order < 0
}

/** The name `$type` gives a value. */
export function typeName(value: Value): TypeName {
  switch (rankOf(value)) {
    case RANK.null:
      return 'null'
    case RANK.number:
      return 'number'
    case RANK.string:
      return 'string'
    case RANK.bool:
      return 'bool'
    case RANK.date:
      return 'date'
    case RANK.array:
      return 'array'
    default:
      return 'object'
  }
}
