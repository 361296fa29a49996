import { type Call, throwIfAborted } from '@tensorhub/core'
import type { Bucket } from './bucket.ts'
import { each } from './each.ts'
import { objects } from './list.ts'
import { infoOf } from './object-info.ts'
import { PARTS } from './part-objects.ts'
import { PROBE } from './probe.ts'

interface Leftover {
  readonly names: { readonly name: string; readonly generation: string }[]
  bytes: number
  /** When its newest object was made. */
  newest: Date
}

/**
 * What processes that died have left: probe objects, and the part objects of composite uploads. An upload is as old as its *newest* object, however old its first
 * parts are: one that goes on makes a part now and then, so it is never swept while its body comes. One whose body pauses longer than from `before` until now can be;
 * its commit then finds no parts and fails whole. Sessions are freed by the service, a week after they began.
 */
export async function sweep(
  bucket: Bucket,
  o: Call & { readonly before: Date; readonly dryRun?: boolean },
): Promise<{ count: number; bytes: number }> {
  let count = 0
  let bytes = 0
  for (const prefix of [PROBE, PARTS])
    for await (const leftover of leftovers(bucket, prefix, o)) {
      if (leftover.newest >= o.before) continue
      if (o.dryRun !== true)
        await each(leftover.names, bucket.settings.parallel, o.signal, ({ name, generation }, signal) =>
          bucket.remove(name, { generation, signal }),
        )
      count++
      bytes += leftover.bytes
    }
  return { count, bytes }
}

/** Characters of a UUID. */
const ID = 36

/** Objects of one id behind the prefix belong together; a listing, which goes by name, has them in a row. */
async function* leftovers(bucket: Bucket, prefix: string, o: Call): AsyncGenerator<Leftover, void, undefined> {
  let current: (Leftover & { readonly of: string }) | undefined
  const at = bucket.nameOf(prefix).length
  for await (const object of objects(bucket, prefix, o)) {
    throwIfAborted(o.signal)
    const { modified, size, version } = infoOf(object.name, object, bucket.service.host)
    const of = object.name.slice(at, at + ID)
    if (current?.of !== of) {
      if (current !== undefined) yield current
      current = { of, names: [], bytes: 0, newest: modified }
    }
    current.names.push({ name: object.name, generation: version })
    current.bytes += size
    if (modified > current.newest) current.newest = modified
  }
  if (current !== undefined) yield current
}
