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

/** Several digits side by side, each with a caption below, cut to the columns and lines that have ink in any of them. */
export function drawRow(images: readonly Uint8Array[], captions: readonly string[]): string {
  const drawn = images.map(drawDigit)
  const inked = (line: number) => drawn.some((digit) => digit[line]?.trim() !== '')
  const lines = Array.from({ length: SIDE / 2 }, (_, line) => line).filter(inked)
  const margin = 3
  const cut = (text: string) => text.slice(margin, SIDE - margin)
  const picture = lines.map((line) =>
    drawn
      .map((digit) => cut(digit[line] ?? ''))
      .join(' ')
      .trimEnd(),
  )
  const width = SIDE - 2 * margin
  const caption = captions
    .map((text) => text.padStart(Math.floor((width + text.length) / 2)).padEnd(width))
    .join(' ')
    .trimEnd()
  return [...picture, caption].join('\n')
}
