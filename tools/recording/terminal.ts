/** How a character looks. */
export interface Style {
  /** A colour of the palette, 0 to 15; absent: the terminal's own. */
  readonly color?: number
  readonly bold?: true
  readonly dim?: true
}

export interface Cell extends Style {
  readonly char: string
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what a terminal is told with
const TOKEN = /\x1b\[([?]?)([\d;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\r\n\b\x07]|[^\x00-\x1f\x7f]/gu
/** Set while a program is in the middle of a redraw. */
const SYNCHRONISED = '2026'
/** Modes that change nothing about what is drawn: cursor visible, synchronised output, bracketed paste. */
const SILENT_MODES = new Set(['25', SYNCHRONISED, '2004'])

/**
 * The part of a terminal that progress displays use: text, line ends, moving and erasing, colours. It never scrolls: the page
 * grows as long as the output. What it does not know it refuses, rather than show a wrong picture.
 */
export class Terminal {
  readonly #columns: number
  #lines: Cell[][] = [[]]
  #row = 0
  #column = 0
  #style: Style = {}
  #rest = ''
  #drawing = false

  constructor(columns: number) {
    this.#columns = columns
  }

  write(text: string): void {
    const all = this.#rest + text
    // A sequence may be cut in two by the pipe.
    // biome-ignore lint/suspicious/noControlCharactersInRegex: see above
    const cut = /\x1b(?:\[[\d;?]*|\][^\x07\x1b]*)?$/.exec(all)
    this.#rest = cut === null ? '' : cut[0]
    const whole = cut === null ? all : all.slice(0, cut.index)
    let at = 0
    for (const match of whole.matchAll(TOKEN)) {
      if (match.index !== at) throw unknown(whole.slice(at, match.index))
      at += match[0].length
      if (match[3] !== undefined) this.#sequence(match[1] as string, match[2] as string, match[3])
      else if (!match[0].startsWith('\x1b')) this.#char(match[0])
    }
    if (at !== whole.length) throw unknown(whole.slice(at))
  }

  /** Whether the program has begun a redraw and not ended it. */
  get drawing(): boolean {
    return this.#drawing
  }

  /** The lines as they stand. */
  lines(): Cell[][] {
    return this.#lines.map((line) => [...line])
  }

  #char(char: string): void {
    if (char === '\r') this.#column = 0
    else if (char === '\n') this.#to(this.#row + 1)
    else if (char === '\b') this.#column = Math.max(0, this.#column - 1)
    else if (char !== '\x07') {
      if (this.#column === this.#columns) {
        this.#column = 0
        this.#to(this.#row + 1)
      }
      const line = this.#lines[this.#row] as Cell[]
      while (line.length < this.#column) line.push({ char: ' ' })
      line[this.#column++] = { char, ...this.#style }
    }
  }

  #to(row: number): void {
    this.#row = Math.max(0, row)
    while (this.#lines.length <= this.#row) this.#lines.push([])
  }

  #sequence(mark: string, digits: string, letter: string): void {
    const [first = 0] = digits.split(';').map(Number)
    const steps = Math.max(1, first)
    const line = this.#lines[this.#row] as Cell[]
    if (mark === '?' && (letter === 'h' || letter === 'l') && SILENT_MODES.has(digits)) {
      if (digits === SYNCHRONISED) this.#drawing = letter === 'h'
      return
    }
    if (mark === '?') throw unknown(`CSI ?${digits}${letter}`)
    if (letter === 'm') this.#style = styleAfter(this.#style, digits)
    else if (letter === 'A') this.#to(this.#row - steps)
    else if (letter === 'B') this.#to(this.#row + steps)
    else if (letter === 'C') this.#column = Math.min(this.#columns, this.#column + steps)
    else if (letter === 'D') this.#column = Math.max(0, this.#column - steps)
    else if (letter === 'E') [this.#column] = [0, this.#to(this.#row + steps)]
    else if (letter === 'F') [this.#column] = [0, this.#to(this.#row - steps)]
    else if (letter === 'G') this.#column = steps - 1
    else if (letter === 'K' && first === 0) line.length = Math.min(line.length, this.#column)
    else if (letter === 'K' && first === 2) line.length = 0
    else if (letter === 'J' && first === 0) {
      line.length = Math.min(line.length, this.#column)
      this.#lines.length = this.#row + 1
    } else throw unknown(`CSI ${digits}${letter}`)
  }
}

function styleAfter(style: Style, digits: string): Style {
  let next: { color?: number; bold?: true; dim?: true } = { ...style }
  for (const code of digits.split(';').map(Number)) {
    if (code === 0) next = {}
    else if (code === 1) next.bold = true
    else if (code === 2) next.dim = true
    else if (code === 22) {
      const { bold: _bold, dim: _dim, ...rest } = next
      next = rest
    } else if (code >= 30 && code <= 37) next.color = code - 30
    else if (code >= 90 && code <= 97) next.color = code - 90 + 8
    else if (code === 39) {
      const { color: _color, ...rest } = next
      next = rest
    } else throw unknown(`the style ${code}`)
  }
  return next
}

function unknown(what: string): Error {
  return new Error(`The terminal of the recording does not know ${JSON.stringify(what)}; teach it in terminal.ts.`)
}
