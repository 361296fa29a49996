const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN = 0x7b
const CLOSE = 0x7d
const OPEN_LIST = 0x5b
const CLOSE_LIST = 0x5d
const COMMA = 0x2c

/**
 * The first field name that stands twice in one object of a JSON text that `JSON.parse` accepts; undefined when there is none. `JSON.parse` keeps the
 * last of two silently, other readers the first: a file that says two things is refused instead.
 */
export function repeatedKey(json: string): string | undefined {
  /** The names seen in each open object; undefined for an open list. */
  const open: (Set<string> | undefined)[] = []
  let nameNext = false
  for (let at = 0; at < json.length; at++) {
    const sign = json.charCodeAt(at)
    if (sign === QUOTE) {
      const end = endOfString(json, at)
      const names = open.at(-1)
      if (nameNext && names !== undefined) {
        const name = JSON.parse(json.slice(at, end + 1)) as string
        if (names.has(name)) return name
        names.add(name)
        nameNext = false
      }
      at = end
    } else if (sign === OPEN) {
      open.push(new Set())
      nameNext = true
    } else if (sign === OPEN_LIST) {
      open.push(undefined)
    } else if (sign === CLOSE || sign === CLOSE_LIST) {
      open.pop()
      nameNext = false
    } else if (sign === COMMA) {
      nameNext = open.at(-1) !== undefined
    }
  }
  return undefined
}

function endOfString(json: string, start: number): number {
  for (let at = start + 1; ; at++) {
    const sign = json.charCodeAt(at)
    if (sign === QUOTE) return at
    if (sign === BACKSLASH) at++
  }
}
