import { PassThrough } from 'node:stream'
import { stripVTControlCharacters } from 'node:util'
import { expect, it } from 'vitest'
import { ProgressDisplay, type TaskView } from '../progress.ts'

function view(over: Partial<TaskView> = {}): TaskView {
  return { name: '800-800', status: 'running', epoch: 1, epochs: 2, part: 0.5, loss: 0.25, accuracy: 0.9, ...over }
}

/** What is written to a terminal of that width, or with 0 to a pipe. */
function shown(columns: number, views: readonly TaskView[], note?: string): string[] {
  const stream = new PassThrough()
  let text = ''
  stream.setEncoding('utf8').on('data', (piece: string) => {
    text += piece
  })
  const terminal = columns === 0 ? {} : { isTTY: true, columns, rows: 24 }
  const display = new ProgressDisplay(Object.assign(stream, terminal) as unknown as NodeJS.WriteStream)
  for (const one of views) display.show([one])
  if (note !== undefined) display.note(note)
  return stripVTControlCharacters(text)
    .split('\n')
    .filter((line) => line.trim() !== '')
}

it.each([120, 80, 60])('on a terminal of %d columns no line is broken', (columns) => {
  const [first = '', second = ''] = shown(columns, [view()])
  expect(first).toContain('800-800  running')
  expect(first).toContain(' 25 %  loss 0.250  test accuracy 0.9000')
  expect(first.length).toBeLessThanOrEqual(columns)
  expect(first.includes('█')).toBe(columns > 70)
  expect(second.trim()).toBe('0 s')
})

it('in a pipe a line appears when the state changes and for each quarter of the work', () => {
  const parts = [0, 0.1, 0.5, 0.6, 1]
  const views = [1, 2].flatMap((epoch) => parts.map((part) => view({ epoch, part })))
  const lines = shown(0, [view({ status: 'pending', epoch: 0, part: 0 }), ...views, view({ status: 'finished' })])
  expect(lines.map((line) => line.trim().split(/ +/).slice(1, 3).join(' '))).toEqual([
    'pending 0',
    'running 0',
    'running 25',
    'running 50',
    'running 75',
    'running 100',
    'finished 100',
  ])
})

it('a note stays', () => {
  expect(shown(0, [], 'Runner 7 ended with SIGKILL.')).toEqual(['Runner 7 ended with SIGKILL.'])
  expect(shown(100, [view()], 'Runner 7 ended with SIGKILL.').join('\n')).toContain('Runner 7 ended with SIGKILL.')
})
