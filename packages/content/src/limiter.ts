/** Lets so much work (here: bytes) go on at once; a piece larger than all of it goes alone. */
export class Limiter {
  readonly #most: number
  #used = 0
  readonly #waiting: { readonly size: number; readonly go: () => void }[] = []

  constructor(most: number) {
    this.#most = most
  }

  async run<T>(size: number, work: () => Promise<T>): Promise<T> {
    await this.#enter(size)
    try {
      return await work()
    } finally {
      this.#used -= size
      while (this.#waiting.length > 0 && this.#fits((this.#waiting[0] as { size: number }).size)) {
        const next = this.#waiting.shift() as { size: number; go: () => void }
        this.#used += next.size
        next.go()
      }
    }
  }

  #fits(size: number): boolean {
    return this.#used === 0 || this.#used + size <= this.#most
  }

  async #enter(size: number): Promise<void> {
    if (this.#waiting.length === 0 && this.#fits(size)) {
      this.#used += size
      return
    }
    await new Promise<void>((go) => this.#waiting.push({ size, go }))
  }
}
