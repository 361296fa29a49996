import type { Shown } from './film.ts'
import type { Cell, Style } from './terminal.ts'

/** Pixels of a character. */
const WIDE = 8.4
const HIGH = 18
const MARGIN = 16
const BAR = 34
const PALETTE = [
  '#484f58',
  '#ff7b72',
  '#3fb950',
  '#d29922',
  '#58a6ff',
  '#bc8cff',
  '#39c5cf',
  '#b1bac4',
  '#6e7681',
  '#ffa198',
  '#56d364',
  '#e3b341',
  '#79c0ff',
  '#d2a8ff',
  '#56d4dd',
  '#ffffff',
]

/** Characters that fill a part of their cell: drawn as rectangles, so that they join whatever the font: [left, top, width, height]. */
const BLOCKS: Readonly<Record<string, readonly [number, number, number, number]>> = {
  '█': [0, 0, 1, 1],
  '▀': [0, 0, 1, 0.5],
  '▄': [0, 0.5, 1, 0.5],
  '▉': [0, 0, 7 / 8, 1],
  '▊': [0, 0, 6 / 8, 1],
  '▋': [0, 0, 5 / 8, 1],
  '▌': [0, 0, 4 / 8, 1],
  '▍': [0, 0, 3 / 8, 1],
  '▎': [0, 0, 2 / 8, 1],
  '▏': [0, 0, 1 / 8, 1],
  // A rule of a table.
  '─': [0, 0.47, 1, 0.06],
}

export interface Picture {
  readonly title: string
  readonly columns: number
  /** How many times as fast as it was. */
  readonly speed: number
}

/**
 * A terminal as one SVG that plays once when it is opened and then stands at its end. Where nothing moves (printed, or the reader
 * asked for less motion) only the end is shown. No script and no font is needed, so it works as an image in a page.
 */
export function terminalSvg(shown: readonly Shown[], { title, columns, speed }: Picture): string {
  const rows = Math.max(...shown.map(({ row }) => row)) + 1
  const width = px(2 * MARGIN + columns * WIDE)
  const height = px(BAR + rows * HIGH + MARGIN)
  const seconds = (ms: number) => `${px(ms / 1000 / speed)}s`
  const lines = shown.map(({ row, cells, from, to }) => {
    const place = `transform="translate(${MARGIN} ${px(BAR + row * HIGH)})"`
    const drawn = drawLine(cells)
    if (to === undefined) return `<g class="s" style="animation-delay:${seconds(from)}" ${place}>${drawn}</g>`
    return `<g class="t" style="animation-delay:${seconds(from)},${seconds(to)}" ${place}>${drawn}</g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>
text{font:14px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#e6edf3;white-space:pre}
rect.b{fill:#e6edf3;shape-rendering:crispEdges}
.bold{font-weight:600}.dim{opacity:.6}
.t{visibility:hidden}
@keyframes on{from{visibility:hidden}to{visibility:hidden}}
@keyframes off{from{visibility:hidden}to{visibility:hidden}}
@media (prefers-reduced-motion:no-preference){
.s{animation:on 1ms backwards}
.t{visibility:visible;animation:on 1ms backwards,off 1ms forwards}
}
</style>
<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>
<circle cx="20" cy="17" r="5.5" fill="#ff5f57"/><circle cx="38" cy="17" r="5.5" fill="#febc2e"/><circle cx="56" cy="17" r="5.5" fill="#28c840"/>
<text x="${px(Number(width) / 2)}" y="21" text-anchor="middle" style="font-size:12px;fill:#8b949e">${escaped(title)}</text>
${lines.join('\n')}
</svg>
`
}

function drawLine(cells: readonly Cell[]): string {
  // In a line with words, blocks are a bar, which keeps its distance from the bars above and below; elsewhere they are a picture.
  const inset = cells.some(({ char }) => /\p{L}/u.test(char)) ? 2 : 0
  let out = ''
  let at = 0
  while (at < cells.length) {
    const first = cells[at] as Cell
    const block = BLOCKS[first.char]
    const end = cells.findIndex(
      (cell, i) => i > at && !(sameStyle(cell, first) && (block ? cell.char === first.char : !BLOCKS[cell.char])),
    )
    const run = cells.slice(at, end < 0 ? cells.length : end)
    if (block !== undefined && wide(block)) out += rectangle(at * WIDE, run.length * WIDE, block, first, inset)
    else if (block !== undefined)
      for (let i = 0; i < run.length; i++) out += rectangle((at + i) * WIDE, WIDE, block, first, inset)
    else out += words(run, at, first)
    at += run.length
  }
  return out
}

/** A block as wide as its cell: a run of them is one rectangle. */
function wide([left, , width]: readonly [number, number, number, number]): boolean {
  return left === 0 && width === 1
}

function rectangle(
  x: number,
  width: number,
  [left, top, share, high]: readonly [number, number, number, number],
  style: Style,
  inset: number,
): string {
  const fill = style.color === undefined ? '' : ` style="fill:${PALETTE[style.color]}"`
  return `<rect class="b" x="${px(x + left * width)}" y="${px(top * HIGH + inset)}" width="${px(share * width)}" height="${px(high * HIGH - 2 * inset)}"${fill}/>`
}

/** A run of text, pinned to the grid by its length, without the blanks at its ends. */
function words(run: readonly Cell[], at: number, style: Style): string {
  const text = run.map(({ char }) => char).join('')
  const blank = text.length - text.trimStart().length
  const inked = [...text.trim()]
  if (inked.length === 0) return ''
  const classes = [style.bold ? 'bold' : '', style.dim ? 'dim' : ''].filter(Boolean).join(' ')
  const look = `${classes === '' ? '' : ` class="${classes}"`}${style.color === undefined ? '' : ` style="fill:${PALETTE[style.color]}"`}`
  return `<text x="${px((at + blank) * WIDE)}" y="13.5" textLength="${px(inked.length * WIDE)}"${look}>${escaped(inked.join(''))}</text>`
}

function sameStyle(a: Style, b: Style): boolean {
  return a.color === b.color && a.bold === b.bold && a.dim === b.dim
}

function px(value: number): string {
  return String(Math.round(value * 100) / 100)
}

function escaped(text: string): string {
  return text.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;').replace(/"/g, '&quot;')
}
