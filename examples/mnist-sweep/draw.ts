import { PIXELS, SIDE } from './mnist.ts'

/** Grey value from which a pixel counts as ink. */
const INK = 96
/** Index: ink above + 2 × ink below. */
const HALF_BLOCKS = [' ', '▀', '▄', '█']

/** One digit as 14 lines of 28 characters: each character is two pixels, one above the other. */
export function drawDigit(image: Uint8Array): string[] {
  if (image.length !== PIXELS) throw new Error(`An image has ${PIXELS} pixels, not ${image.length}.`)
  const ink = (row: number, column: number) => ((image[row * SIDE + column] ?? 0) >= INK ? 1 : 0)
  return Array.from({ length: SIDE / 2 }, (_, line) =>
    Array.from(
      { length: SIDE },
      (_, column) => HALF_BLOCKS[ink(2 * line, column) + 2 * ink(2 * line + 1, column)],
    ).join(''),
  )
}

/** Columns of one digit without the blank margin that MNIST leaves on each side. */
const MARGIN = 3
const WIDTH = SIDE - 2 * MARGIN

/** Digits side by side, as many as fit into `columns`, then the next ones below; each with a caption. */
export function drawDigits(images: readonly Uint8Array[], captions: readonly string[], columns: number): string {
  const across = Math.max(1, Math.floor((columns + 1) / (WIDTH + 1)))
  const rows = Array.from({ length: Math.ceil(images.length / across) }, (_, row) => {
    const [from, to] = [row * across, (row + 1) * across]
    return drawRow(images.slice(from, to), captions.slice(from, to))
  })
  return rows.join('\n\n')
}

function drawRow(images: readonly Uint8Array[], captions: readonly string[]): string {
  const drawn = images.map(drawDigit)
  const inked = (line: number) => drawn.some((digit) => digit[line]?.trim() !== '')
  const lines = Array.from({ length: SIDE / 2 }, (_, line) => line).filter(inked)
  const picture = lines.map((line) =>
    drawn
      .map((digit) => digit[line]?.slice(MARGIN, SIDE - MARGIN))
      .join(' ')
      .trimEnd(),
  )
  const caption = captions.map((text) => text.padStart(Math.floor((WIDTH + text.length) / 2)).padEnd(WIDTH))
  return [...picture, caption.join(' ').trimEnd()].join('\n')
}
