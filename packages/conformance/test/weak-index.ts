import { HubError, type IndexCan, type IndexDriver, isHubError, type Predicate } from '@tensorhub/core'
import { type MemoryDocuments, memoryIndex } from '@tensorhub/memory'

const CAN: IndexCan = { maxDocBytes: 2 ** 24, transactions: false, uniqueKeys: false, watch: false }

/**
 * The least a driver may be: it decides equality of `_id` and of `_rev` and no other filter, no order but that of `_id`, has no transactions, no unique
 * keys and no watch. Everything else is core's work, here held to the suite.
 */
export function weakIndex(documents: MemoryDocuments = new Map()): IndexDriver {
  const sound = memoryIndex(documents)
  return {
    scheme: 'weak',
    can: CAN,
    native: () => documents,
    exact: (_coll, where, order) => ({
      where: decides(where),
      order: order.length === 0 || (order.length === 1 && order[0]?.path[0] === '_id'),
    }),
    ensureIndex: (coll, keys, o) => sound.ensureIndex(coll, keys, o),
    async insert(coll, docs, o) {
      const stored: string[] = []
      for (const doc of docs) {
        try {
          await sound.insert(coll, [doc], o)
        } catch (error) {
          if (!isHubError(error) || docs.length === 1) throw error
          throw new HubError(error.code, error.message, { at: error.at, stored, cause: error })
        }
        stored.push(doc._id)
      }
    },
    find: (coll, where, o) => sound.find(coll, superset(where), o),
    count: (coll, where, o) => sound.count(coll, only(where), o),
    update: (coll, where, change, o) => sound.update(coll, only(where), change, o),
    takeOne: (coll, where, change, o) => sound.takeOne(coll, only(where), change, o),
    delete: (coll, where, o) => sound.delete(coll, only(where), o),
    now: (o) => sound.now(o),
  }
}

function decides(where: Predicate): boolean {
  if (where.op === 'and') return where.of.every(decides)
  return where.op === 'everything' || (where.op === 'eq' && (where.path[0] === '_id' || where.path[0] === '_rev'))
}

/** Lets everything through that it cannot decide. */
function superset(where: Predicate): Predicate {
  if (where.op === 'and') return { op: 'and', of: where.of.map(superset) }
  return decides(where) ? where : { op: 'everything' }
}

/** Core must not ask for what the driver does not decide. */
function only(where: Predicate): Predicate {
  if (!decides(where)) throw new Error(`a driver that does not decide ${JSON.stringify(where)} was asked to`)
  return where
}
