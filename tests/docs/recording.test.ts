import { describe, expect, it } from 'vitest'
import { film } from '../../tools/recording/film.ts'
import { terminalSvg } from '../../tools/recording/svg.ts'
import { Terminal } from '../../tools/recording/terminal.ts'

const ESC = '\u001b'

function screen(...texts: readonly string[]): string[] {
  const terminal = new Terminal(10)
  for (const text of texts) terminal.write(text)
  return terminal.lines().map((line) => line.map(({ char }) => char).join(''))
}

describe('the terminal of the recording', () => {
  it('writes, wraps, returns and redraws lines as a progress display does', () => {
    expect(screen('ab\r\ncd')).toEqual(['ab', 'cd'])
    expect(screen('0123456789x')).toEqual(['0123456789', 'x'])
    expect(screen('one\r\ntwo', `${ESC}[2K${ESC}[1A${ESC}[2K${ESC}[G`, 'new')).toEqual(['new', ''])
    expect(screen('abcdef\r', `${ESC}[3Cx${ESC}[K`)).toEqual(['abcx'])
  })

  it('understands a sequence that comes in two pieces', () => {
    expect(screen(`a${ESC}`, '[', '2', 'Kb')).toEqual([' b'])
  })

  it('refuses what it would show wrongly', () => {
    expect(() => screen(`${ESC}[5L`)).toThrow('CSI 5L')
    expect(() => screen(`${ESC}[?1049h`)).toThrow('CSI ?1049h')
  })

  it('keeps colours', () => {
    const terminal = new Terminal(10)
    terminal.write(`${ESC}[1;32ma${ESC}[0mb`)
    expect(terminal.lines()).toEqual([[{ char: 'a', color: 2, bold: true }, { char: 'b' }]])
  })
})

describe('the film', () => {
  const pieces = [
    { at: 0, text: 'title\r\n' },
    { at: 1000, text: '10 %' },
    { at: 2000, text: `${ESC}[2K${ESC}[G100 %` },
  ]

  it('gives every line with the time it stood there', () => {
    const text = film(pieces, 10, 500).map(({ row, cells, from, to }) => [
      row,
      cells.map(({ char }) => char).join(''),
      from,
      to,
    ])
    expect(text).toEqual([
      [0, 'title', 0, undefined],
      [1, '10 %', 1000, 2000],
      [1, '100 %', 2000, undefined],
    ])
  })

  it('never shows a line in the middle of its redraw', () => {
    const redraw = [
      { at: 0, text: 'old' },
      { at: 1000, text: `${ESC}[?2026h${ESC}[2K` },
      { at: 2000, text: `${ESC}[Gnew${ESC}[?2026l` },
    ]
    expect(film(redraw, 10, 500).map(({ cells, from, to }) => [cells.length, from, to])).toEqual([
      [3, 0, 2000],
      [3, 2000, undefined],
    ])
  })

  it('becomes a picture that stands at its end where nothing moves', () => {
    const svg = terminalSvg(film(pieces, 10, 500), { title: 'a & b', columns: 10, speed: 2 })
    expect(svg).toContain('aria-label="a &amp; b"')
    expect(svg).toContain('<g class="s" style="animation-delay:0s"')
    expect(svg).toContain('<g class="t" style="animation-delay:0.5s,1s"')
    expect(svg.match(/^\.t\{visibility:hidden\}$/m)).not.toBeNull()
    expect(svg).not.toMatch(/<script|href=/)
  })
})
