import { HubError, isHubError } from '@tensorhub/core'

/** Failures of one document: another one may well be copied. All others (a store that does not answer, a full disk) end the run. */
const OF_ONE = ['INTEGRITY', 'UNSUPPORTED', 'INVALID'] as const

/** What could not be copied, told when everything else was: one damaged record must not hold back those behind it. */
export class Failures {
  readonly #names = new Set<string>()
  #first: { readonly name: string; readonly error: HubError } | undefined

  has(name: string): boolean {
    return this.#names.has(name)
  }

  /** Does something with a document; its failure is kept, and undefined given. */
  async of<T>(name: string, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      const ofOne =
        OF_ONE.some((code) => isHubError(error, code)) || (isHubError(error, 'CONFLICT') && !error.retryable)
      if (!ofOne) throw error
      this.#names.add(name)
      this.#first ??= { name, error: error as HubError }
      return undefined
    }
  }

  /** @throws The first failure's code, naming its document, and how many there are. */
  throwIfAny(): void {
    if (this.#first === undefined) return
    const { name, error } = this.#first
    const others = this.#names.size - 1
    throw new HubError(
      error.code,
      `${name} could not be copied: ${error.message}${others > 0 ? ` And ${others} more could not.` : ''} Everything else was copied.`,
      { at: { scheme: 'hub', op: 'copyTo', target: error.at.target ?? name }, cause: error },
    )
  }
}
