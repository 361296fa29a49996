import { type Doc, HubError, type Value } from '@tensorhub/core'
import { BSON, type Document, Double } from 'mongodb'

/**
 * A value as it is sent. Numbers are always stored as doubles and bigints as int64: in MongoDB an int32 that is incremented past 2^31 becomes an int64, and would be read as a
 * bigint. Both compare by exact value. https://www.mongodb.com/docs/manual/reference/operator/update/inc/
 */
export function toBson(value: Value): unknown {
  switch (typeof value) {
    case 'number':
      return Number.isInteger(value) && Math.abs(value) < 2 ** 31 ? new Double(value) : value
    case 'object': {
      if (value === null || value instanceof Date) return value
      if (Array.isArray(value)) return value.map(toBson)
      // What others stored and we do not know (ObjectId …) is left as it is; it says so by its class.
      if ('_bsontype' in value && !Object.hasOwn(value, '_bsontype')) return value
      const copy: Record<string, unknown> = {}
      for (const key of Object.keys(value))
        copy[key] = toBson((value as { readonly [key: string]: Value })[key] as Value)
      // A field of that name would make the serializer take the object for a value of BSON's; in a Map it is just a field.
      return Object.hasOwn(copy, '_bsontype') ? new Map(Object.entries(copy)) : copy
    }
    default:
      return value
  }
}

/** @throws INVALID for the one name that a document itself cannot have. */
export function docToBson(doc: Doc): Document & { _id: string } {
  refuseBsonType(Object.keys(doc))
  return toBson(doc) as Document & { _id: string }
}

/** Documents and their updates have to be objects for the driver, and an object with this field is to its serializer a value of BSON's. */
export function refuseBsonType(names: readonly string[]): void {
  if (!names.includes('_bsontype')) return
  throw new HubError(
    'INVALID',
    "A field of a document cannot be named '_bsontype' in MongoDB; inside of an object it can.",
    {
      at: { scheme: 'mongodb', op: 'write' },
      path: '_bsontype',
    },
  )
}

/** Below this many characters and fields nothing comes near the limit, and need not be measured. */
const SMALL = 1024 * 1024

/** @throws INVALID for a document, or a part of one, of more than `most` bytes of BSON: the server would drop the connection rather than answer. */
export function checkSize(bson: Document, most: number, coll: string, op: string, what: string): void {
  if (roughSize(bson, 0) < SMALL) return
  const bytes = BSON.calculateObjectSize(bson)
  if (bytes <= most) return
  throw new HubError('INVALID', `${what} has ${bytes} bytes of BSON; at most ${most}.`, {
    at: { scheme: 'mongodb', op, target: coll },
    reason: 'DOCUMENT_TOO_LARGE',
  })
}

/** At least a quarter of the size in BSON; stops counting when it is large for certain. */
function roughSize(value: unknown, from: number): number {
  if (typeof value === 'string') return from + value.length + 5
  if (typeof value !== 'object' || value === null || value instanceof Date) return from + 9
  let size = from + 5
  for (const [key, part] of Object.entries(value)) {
    size = roughSize(part, size + key.length + 2)
    if (size >= SMALL) return size
  }
  return size
}
