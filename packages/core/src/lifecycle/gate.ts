import { throwIfAborted } from '../errors/hub-error.ts'

/**
 * Lets so many in at once. A driver's requests wait here rather than for a socket of an agent that is bounded: there a connection timeout would already be running (a
 * burst of uploads would fail as "unreachable"), or bodies that a caller holds unread would keep every further request waiting for ever.
 */
export class Gate {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor(places: number) {
    this.#free = places
  }

  /** Gives what lets the next one in; calling it twice is harmless. @throws ABORTED */
  async enter(signal?: AbortSignal): Promise<() => void> {
    throwIfAborted(signal)
    if (this.#free > 0) this.#free--
    else await this.#turn(signal)
    let inside = true
    return () => {
      if (!inside) return
      inside = false
      const [next] = this.#waiting
      if (next === undefined) this.#free++
      else {
        this.#waiting.delete(next)
        next()
      }
    }
  }

  #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener('abort', leave)
        resolve()
      }
      const leave = () => {
        this.#waiting.delete(enter)
        try {
          throwIfAborted(signal)
        } catch (error) {
          reject(error)
        }
      }
      this.#waiting.add(enter)
      signal?.addEventListener('abort', leave, { once: true })
    })
  }
}
