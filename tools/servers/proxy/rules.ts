import type { Action } from './actions.ts'
import { seededRandom } from './random.ts'
import type { ProxiedRequest } from './request.ts'

/** Which requests. All that is given must hold. */
export interface Matcher {
  /** MongoDB's command, or the store's name of the operation; one of several. */
  readonly operation?: string | readonly string[]
  readonly method?: string | readonly string[]
  /** A part of the path as sent, or a pattern for it. */
  readonly path?: string | RegExp
}

/** Which of those that match. */
export interface Often {
  /** So many that match are left alone first. 0 */
  readonly skip?: number
  /** Every so-manieth: 5 is the fifth, the tenth, … 1 */
  readonly every?: number
  /** At most so many in all. Infinity */
  readonly times?: number
  /** Each with this probability, by the proxy's seed. 1 */
  readonly rate?: number
}

export interface Rule {
  /** How many requests it has befallen. */
  readonly hits: number
  /** How many have matched, befallen or not. */
  readonly matched: number
  off(): void
}

/** The rules of one proxy; of several that match the first that strikes counts. */
export class Rules {
  #rules: { take(request: ProxiedRequest): Action | undefined }[] = []
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  on(matcher: Matcher | ((request: ProxiedRequest) => boolean), action: Action, often: Often = {}): Rule {
    const { skip = 0, every = 1, times = Number.POSITIVE_INFINITY, rate = 1 } = often
    const matches = typeof matcher === 'function' ? matcher : (request: ProxiedRequest) => holds(matcher, request)
    const count = { hits: 0, matched: 0 }
    const own = {
      take: (request: ProxiedRequest) => {
        if (!matches(request)) return undefined
        count.matched += 1
        const due = count.matched > skip && (count.matched - skip) % every === 0 && count.hits < times
        if (!due || (rate < 1 && this.#random() >= rate)) return undefined
        count.hits += 1
        return action
      },
    }
    this.#rules.push(own)
    return {
      get hits() {
        return count.hits
      },
      get matched() {
        return count.matched
      },
      off: () => {
        this.#rules = this.#rules.filter((rule) => rule !== own)
      },
    }
  }

  clear(): void {
    this.#rules = []
  }

  /** What befalls this request. */
  take(request: ProxiedRequest): Action | undefined {
    for (const rule of this.#rules) {
      const action = rule.take(request)
      if (action !== undefined) return action
    }
    return undefined
  }
}

export function holds({ operation, method, path }: Matcher, request: ProxiedRequest): boolean {
  if (operation !== undefined && ![operation].flat().includes(request.operation)) return false
  if (method !== undefined && ![method].flat().includes(request.method)) return false
  if (path === undefined) return true
  return typeof path === 'string' ? request.path.includes(path) : path.test(request.path)
}
