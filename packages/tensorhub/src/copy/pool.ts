import { throwIfAborted } from '@tensorhub/core'

/** Runs so many jobs at once. `run` resolves when a job has begun, so whoever feeds the pool waits while it is full; the first failure stops the others. */
export class Pool {
  readonly #most: number
  readonly #stop = new AbortController()
  readonly #running = new Set<Promise<void>>()
  readonly #caller: AbortSignal | undefined
  #failure: { readonly error: unknown } | undefined
  readonly signal: AbortSignal

  constructor(most: number, signal: AbortSignal | undefined) {
    this.#most = most
    this.#caller = signal
    this.signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal
  }

  async run(job: () => Promise<unknown>): Promise<void> {
    while (this.#running.size >= this.#most) await Promise.race(this.#running)
    throwIfAborted(this.signal)
    const running: Promise<void> = job()
      .then(
        () => undefined,
        (error: unknown) => this.#fail(error),
      )
      .finally(() => this.#running.delete(running))
    this.#running.add(running)
  }

  /** Feeds the pool. Ends when every job has ended, also after a failure. @throws the first failure */
  async use(feed: () => Promise<void>): Promise<void> {
    try {
      await feed()
    } catch (error) {
      this.#fail(error)
    }
    await Promise.all(this.#running)
    throwIfAborted(this.#caller, { scheme: 'hub', op: 'copyTo' })
    if (this.#failure !== undefined) throw this.#failure.error
  }

  #fail(error: unknown): void {
    this.#failure ??= { error }
    this.#stop.abort(error)
  }
}
