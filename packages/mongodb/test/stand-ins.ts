import {
  applyChange,
  type Call,
  type Change,
  type Doc,
  type IndexDriver,
  type Order,
  type Predicate,
} from '@tensorhub/core'

/** What a server that stands in for MongoDB answers otherwise, and so is decided by core in the suites. */
export interface StandIn {
  readonly why: string
  /** The part of a filter that it answers as MongoDB does; the whole filter where that is all of it. */
  readonly understood?: (where: Predicate) => Predicate
  /** Whether it sorts so. */
  readonly order?: (order: Order) => boolean
  /** It makes changes that MongoDB refuses. */
  readonly changesAnything?: boolean
}

/** SecantusDB 0.5.3-beta.196: MongoDB's answers, but for one refusal. */
export const SECANTUS: StandIn = {
  why: 'sorts by two arrays of one document, which MongoDB refuses',
  order: (order) => order.filter(({ path }) => path[0] !== '_id').length < 2,
}

/**
 * mongo-java-server 1.47: NaN is a large number to it, strings are compared by UTF-16 units, arrays in arrays are entered, `$regex` looks into objects, `$inc` makes a number of null. It shows
 * that the adapter needs nothing but plain operators and atomic updates.
 */
export const JAVA: StandIn = {
  why: 'compares, orders and refuses otherwise than MongoDB',
  understood: (where) => {
    if (where.op === 'eq' && where.path.length === 1 && typeof where.value === 'string') return where
    if (where.op !== 'and') return { op: 'everything' }
    const of = where.of.map((part) => JAVA.understood?.(part) ?? part)
    return of.every((part, i) => part === where.of[i]) ? where : { op: 'and', of }
  },
  order: (order) => order.length === 0,
  changesAnything: true,
}

/** The driver, with what the server answers otherwise left to core. */
export function on(driver: IndexDriver, server: StandIn | undefined): IndexDriver {
  if (server === undefined) return driver
  const understood = (where: Predicate) => server.understood?.(where) ?? where
  const sorts = (order: Order) => server.order?.(order) ?? true
  const own: Partial<IndexDriver> = {
    exact(coll, where, order) {
      const exact = driver.exact?.(coll, where, order) ?? { where: true, order: true }
      return { where: exact.where && understood(where) === where, order: exact.order && sorts(order) }
    },
    find: (coll, where, o) => driver.find(coll, understood(where), o),
  }
  if (server.changesAnything === true) {
    const possible = async (
      coll: string,
      where: Predicate,
      change: Change,
      o: Call & { order: Order; limit?: number },
    ) => {
      for await (const doc of driver.find(coll, where, o)) applyChange(doc as Doc, change)
    }
    own.update = async (coll, where, change, o) => {
      await possible(coll, where, change, { ...o, order: [] })
      return driver.update(coll, where, change, o)
    }
    own.takeOne = async (coll, where, change, o) => {
      await possible(coll, where, change, { ...o, limit: 1 })
      return driver.takeOne(coll, where, change, o)
    }
  }
  return new Proxy(driver, {
    get(target, name) {
      const value: unknown = Reflect.get(own, name) ?? Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
