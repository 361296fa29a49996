import type { Piece } from './pty.ts'
import { type Cell, Terminal } from './terminal.ts'

/** One line of the terminal and the time it stands there, in ms; without `to` it stands at the end. */
export interface Shown {
  readonly row: number
  readonly cells: readonly Cell[]
  readonly from: number
  readonly to?: number
}

/** Looks at the terminal about every `every` ms of the recording, never in the middle of a redraw, and gives every line that could be seen. */
export function film(pieces: readonly Piece[], columns: number, every: number): Shown[] {
  const terminal = new Terminal(columns)
  const done: Shown[] = []
  let standing: { key: string; from: number; cells: readonly Cell[] }[] = []
  const look = (at: number) => {
    const lines = terminal.lines()
    const rows = Math.max(lines.length, standing.length)
    standing = Array.from({ length: rows }, (_, row) => {
      const cells = trimmed(lines[row] ?? [])
      const key = JSON.stringify(cells)
      const before = standing[row]
      if (before?.key === key) return before
      if (before !== undefined && before.cells.length > 0)
        done.push({ row, cells: before.cells, from: before.from, to: at })
      return { key, from: at, cells }
    })
  }
  let [began, last] = [0, 0]
  for (const { at, text } of pieces) {
    if (at - began >= every && !terminal.drawing) {
      look(last)
      began = at
    }
    terminal.write(text)
    last = at
  }
  look(last)
  for (const [row, { from, cells }] of standing.entries()) if (cells.length > 0) done.push({ row, cells, from })
  return done.sort((a, b) => a.row - b.row || a.from - b.from)
}

function trimmed(cells: readonly Cell[]): Cell[] {
  return cells.slice(0, cells.findLastIndex(({ char }) => char !== ' ') + 1)
}
