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

const WIDTH = 30

function bar(share: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * WIDTH * 8)
  const whole = '█'.repeat(Math.floor(eighths / 8))
  const rest = eighths % 8 === 0 ? '' : '▏▎▍▌▋▊▉'[(eighths % 8) - 1]
  return `${whole}${rest}`.padEnd(WIDTH, '·')
}

function figures({ loss, accuracy }: TaskView): string {
  const parts = [
    loss === undefined ? '' : `loss ${loss.toFixed(3)}`,
    accuracy === undefined ? '' : `test accuracy ${accuracy.toFixed(4)}`,
  ]
  return parts.filter((part) => part !== '').join('  ')
}

function line(view: TaskView): string {
  const share =
    view.status === 'finished' ? 1 : view.epochs === 0 ? 0 : (Math.max(0, view.epoch - 1) + view.part) / view.epochs
  return `  ${view.name}  ${view.status.padEnd(9)} ${bar(share)} ${String(Math.round(share * 100)).padStart(3)} %  ${figures(view)}`
}

/** Shows tasks as they run: redrawn lines on a terminal, and elsewhere one line whenever a task changes its state or ends an epoch. */
export class ProgressDisplay {
  readonly #stream: NodeJS.WriteStream
  readonly #redraw: ReturnType<typeof createLogUpdate> | undefined
  readonly #shown = new Map<string, string>()

  constructor(stream: NodeJS.WriteStream = process.stdout) {
    this.#stream = stream
    this.#redraw = stream.isTTY ? createLogUpdate(stream) : undefined
  }

  show(views: readonly TaskView[]): void {
    if (this.#redraw) {
      this.#redraw(views.map(line).join('\n'))
      return
    }
    for (const view of views) {
      const ended = view.status === 'finished' ? view.epochs : view.part >= 1 ? view.epoch : Math.max(0, view.epoch - 1)
      const stage = `${view.status} ${ended}`
      if (this.#shown.get(view.name) === stage) continue
      this.#shown.set(view.name, stage)
      const epoch = ended === 0 ? '' : `epoch ${ended}/${view.epochs}  ${figures(view)}`
      this.#stream.write(`${`  ${view.name}  ${view.status.padEnd(9)} ${epoch}`.trimEnd()}\n`)
    }
  }

  /** Leaves the last picture standing. */
  end(): void {
    this.#redraw?.done()
  }
}
