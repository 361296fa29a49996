import { join } from 'node:path'
import { checkKey, isHubError } from '@tensorhub/core'

/**
 * Where blobs lie in the folder: a key's segments but the last are directories, the last is a file with the ending `.b`. No two keys need the same
 * name on any file system:
 *
 * - `a` and `a/b` are both stored: `a.b` beside `a/b.b`. A directory whose own name ends in `.b` gets `!` behind it (`a.b/c` is `a.b!/c.b`).
 * - Case is written out, so that keys that differ by case only are two files also where the file system ignores case: a segment is in lower case, and
 *   behind `!` stand the places of its capitals, five letters a character (`Ab` is `ab!1`). The longest segment that core allows, 200 characters, so
 *   takes 243 of the 255 bytes that file systems give a name.
 * - Core's rule for keys (`checkKey`) keeps out what else differs between platforms: reserved names, dots at the end, spaces, characters outside ASCII.
 */
export const ENDING = '.b'

/** The staging folder, on the same file system as the blobs. Its name cannot be a key's: it holds a character no key has. */
export const STAGING = '#staging'

const MARK = '!'
/** Five letters, one a bit, the first the lowest. */
const BITS = '0123456789abcdefghijklmnopqrstuv'

export function pathOf(folder: string, key: string): string {
  const segments = key.split('/')
  const last = segments.length - 1
  return join(folder, ...segments.map((segment, i) => (i === last ? fileName(segment) : folderName(segment))))
}

function fileName(segment: string): string {
  return encodeCase(segment) + ENDING
}

function folderName(segment: string): string {
  const name = encodeCase(segment)
  return name.endsWith(ENDING) ? name + MARK : name
}

/** The segment a file's name stands for; undefined for a file that is none of ours. */
export function segmentOfFile(name: string): string | undefined {
  if (!name.endsWith(ENDING)) return undefined
  const segment = decodeCase(name.slice(0, -ENDING.length))
  return isSegment(segment) && fileName(segment) === name ? segment : undefined
}

/** The same for a directory. */
export function segmentOfFolder(name: string): string | undefined {
  const segment = decodeCase(name)
  return isSegment(segment) && folderName(segment) === name ? segment : undefined
}

function encodeCase(segment: string): string {
  const lower = segment.toLowerCase()
  if (lower === segment) return segment
  let places = ''
  for (let at = 0; at < segment.length; at += 5) {
    let bits = 0
    for (let i = 0; i < 5; i++) if (segment[at + i] !== lower[at + i]) bits |= 1 << i
    places += BITS[bits]
  }
  return `${lower}${MARK}${places.replace(/0+$/, '')}`
}

function decodeCase(name: string): string {
  const mark = name.lastIndexOf(MARK)
  if (mark < 0) return name
  const places = name.slice(mark + 1)
  return name
    .slice(0, mark)
    .replace(/./g, (letter, at: number) =>
      (BITS.indexOf(places[Math.floor(at / 5)] ?? '0') >> (at % 5)) & 1 ? letter.toUpperCase() : letter,
    )
}

function isSegment(segment: string): boolean {
  try {
    return checkKey(segment) === segment && !segment.includes('/')
  } catch (error) {
    if (isHubError(error, 'INVALID')) return false
    throw error
  }
}
