import type { BlobDriver, IndexDriver, Predicate } from '@tensorhub/core'

const BY_ID: Predicate = { op: 'everything' }

/** An index that decides only filters on `_id` and `_rev`, gives everything else as a superset in no order, and has no transactions and no watch. */
export function narrowIndex(driver: IndexDriver): IndexDriver {
  return {
    scheme: 'narrow',
    can: { ...driver.can, transactions: false, uniqueKeys: false, watch: false },
    ensureIndex: (...args) => driver.ensureIndex(...args),
    insert: (...args) => driver.insert(...args),
    find: (coll, where, o) =>
      driver.find(coll, isById(where) ? where : BY_ID, { ...o, order: [{ path: ['_id'], dir: -1 }] }),
    count: (...args) => driver.count(...args),
    update: (...args) => driver.update(...args),
    takeOne: (...args) => driver.takeOne(...args),
    delete: (...args) => driver.delete(...args),
    now: (...args) => driver.now(...args),
    native: () => driver.native?.(),
    exact: (_coll, where) => ({ where: isById(where), order: false }),
  }
}

function isById(where: Predicate): boolean {
  if (where.op === 'and') return where.of.every(isById)
  if (where.op !== 'eq' && where.op !== 'in') return false
  return where.path.length === 1 && (where.path[0] === '_id' || where.path[0] === '_rev')
}

/** Blobs by streams only, without conditions, copies or metadata. */
export function narrowBlobs(driver: BlobDriver): BlobDriver {
  return {
    scheme: 'narrow',
    can: { ...driver.can, ifAbsent: false, ifVersion: false, meta: false, copy: false, sign: false },
    stat: (...args) => driver.stat(...args),
    read: (...args) => driver.read(...args),
    write: (...args) => driver.write(...args),
    delete: (...args) => driver.delete(...args),
    list: (...args) => driver.list(...args),
  }
}
