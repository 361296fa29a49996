import { createLogUpdate } from 'log-update'

/** One task as it is shown. */
export interface TaskView {
  readonly name: string
  readonly status: string
  readonly epoch: number
  readonly epochs: number
  /** Of this epoch, 0 to 1. */
  readonly part: number
  readonly loss?: number
  readonly accuracy?: number
}

/** Columns of the longest line without its bar. */
const TEXT = 64
/** Without a terminal a line appears whenever a task changes its state or has done one more of these parts of its work. */
const PARTS = 4

function shareOf({ status, epoch, epochs, part }: TaskView): number {
  if (status === 'finished') return 1
  return epochs === 0 ? 0 : (Math.max(0, epoch - 1) + part) / epochs
}

function bar(share: number, width: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * width * 8)
  const whole = '█'.repeat(Math.floor(eighths / 8))
  const rest = eighths % 8 === 0 ? '' : '▏▎▍▌▋▊▉'[(eighths % 8) - 1]
  return `${whole}${rest}`.padEnd(width, '·')
}

function line(view: TaskView, columns: number): string {
  const share = shareOf(view)
  const width = Math.min(30, columns - TEXT)
  const parts = [
    `  ${view.name}  ${view.status.padEnd(9)}`,
    width >= 5 ? bar(share, width) : '',
    `${String(Math.round(share * 100)).padStart(3)} %`,
    view.loss === undefined ? '' : ` loss ${view.loss.toFixed(3)}`,
    view.accuracy === undefined ? '' : ` test accuracy ${view.accuracy.toFixed(4)}`,
  ]
  return parts.filter((part) => part !== '').join(' ')
}

/** Shows tasks as they run: redrawn lines on a terminal, and elsewhere now and then a line. */
export class ProgressDisplay {
  readonly #stream: NodeJS.WriteStream
  readonly #redraw: ReturnType<typeof createLogUpdate> | undefined
  readonly #shown = new Map<string, string>()
  readonly #start = performance.now()

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream
    this.#redraw = stream.isTTY ? createLogUpdate(stream) : undefined
  }

  show(views: readonly TaskView[]): void {
    if (this.#redraw) {
      const lines = views.map((view) => line(view, this.#stream.columns))
      this.#redraw([...lines, `  ${Math.round((performance.now() - this.#start) / 1000)} s`].join('\n'))
      return
    }
    for (const view of views) {
      const stage = `${view.status} ${Math.floor(shareOf(view) * PARTS)}`
      if (this.#shown.get(view.name) === stage) continue
      this.#shown.set(view.name, stage)
      this.#stream.write(`${line(view, 0)}\n`)
    }
  }

  /** A line that stays, above what is redrawn. */
  note(text: string): void {
    if (this.#redraw) this.#redraw.persist(`\n${text}\n`)
    else this.#stream.write(`${text}\n`)
  }

  /** Leaves the last picture standing. */
  end(views: readonly TaskView[]): void {
    this.show(views)
    this.#redraw?.done()
  }
}
