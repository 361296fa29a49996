import type { Path, Value } from '../contracts/value.ts'
import { arrayIndex, isObject } from './compare.ts'

/**
 * The values a path names in a document, as MongoDB's matcher sees them; `undefined` stands for a missing field.
 *
 * Arrays on the way contribute their object elements only (one level a step), and a digits-only step is also an index. An array that contributes
 * nothing gives no value at all, not even "missing": `{ 'a.b': null }` does not match `{ a: [1] }` (MongoDB 8; docs/query.md, "Null and missing").
 *
 * @param expand Whether an array at the path's end also gives its elements. The value picked by a final numeric step is never expanded.
 * @param rootIsElement The root is an array's element (under `$elemMatch`): if it is an array itself, only indexes lead into it.
 */
export function* pathValues(
  root: Value,
  path: Path,
  expand: boolean,
  rootIsElement = false,
): Generator<Value | undefined> {
  if (path.length === 0) {
    yield root
    return
  }
  if (rootIsElement && Array.isArray(root)) {
    const index = arrayIndex(path[0] as string)
    if (index === undefined || index >= root.length) yield undefined
    else if (path.length === 1) yield* leaf(root[index], expand)
    else yield* walk(root[index] as Value, path, 1, expand)
    return
  }
  yield* walk(root, path, 0, expand)
}

function* walk(node: Value, path: Path, at: number, expand: boolean): Generator<Value | undefined> {
  const step = path[at] as string
  const last = at === path.length - 1
  if (Array.isArray(node)) {
    const index = arrayIndex(step)
    if (index !== undefined && index < node.length) {
      const element = node[index] as Value
      if (last) yield element
      else yield* walk(element, path, at + 1, expand)
    }
    for (const element of node) if (isObject(element)) yield* walk(element, path, at, expand)
  } else if (isObject(node)) {
    if (!Object.hasOwn(node, step)) yield undefined
    else if (last) yield* leaf(node[step], expand)
    else yield* walk(node[step] as Value, path, at + 1, expand)
  } else {
    yield undefined
  }
}

function* leaf(value: Value | undefined, expand: boolean): Generator<Value | undefined> {
  if (expand && Array.isArray(value)) yield* value
  yield value
}
