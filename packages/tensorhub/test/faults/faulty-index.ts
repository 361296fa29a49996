import { setTimeout as delay } from 'node:timers/promises'
import { type Call, type Change, HubError, type IndexDriver, throwIfAborted } from '@tensorhub/core'
import { memoryIndex } from '@tensorhub/memory'

/** What happens to one `takeOne` of the tasks. */
export type Fault = 'none' | 'reply lost' | 'not applied'

/** An index whose `takeOne` on tasks can lose its reply after the write was applied, or fail before it. */
export function faultyIndex(fault: (change: Change) => Fault, driver: IndexDriver = memoryIndex()): IndexDriver {
  const takeOne: IndexDriver['takeOne'] = async (coll, where, change, o) => {
    const kind = coll === 'tasks' ? fault(change) : 'none'
    if (kind === 'not applied') throw unreachable('takeOne')
    const doc = await driver.takeOne(coll, where, change, o)
    if (kind === 'reply lost') throw unreachable('takeOne')
    return doc
  }
  return wrapped(driver, (name) => (name === 'takeOne' ? takeOne : undefined))
}

/**
 * How an index cannot be reached: calls fail at once; or they hang, as on a half-open connection, until the way is open again, when they are
 * carried out late, or until their signal aborts.
 */
export type Partition = 'none' | 'refused' | 'silent'

/** One way to an index that others reach by their own: `state` is asked at each call. */
export function partitionedIndex(driver: IndexDriver, state: () => Partition): IndexDriver {
  return wrapped(driver, (name, member) => {
    if (typeof member !== 'function' || ['open', 'close', 'native', 'exact', 'watch'].includes(name)) return undefined
    const passage = (args: unknown[]) => pass(name, state, (args.at(-1) as Call).signal)
    if (name === 'find')
      return async function* (...args: unknown[]) {
        await passage(args)
        yield* Reflect.apply(member, driver, args) as AsyncIterable<unknown>
      }
    return async (...args: unknown[]) => {
      await passage(args)
      return Reflect.apply(member, driver, args)
    }
  })
}

async function pass(op: string, state: () => Partition, signal: AbortSignal | undefined): Promise<void> {
  let now = state()
  if (now === 'refused') throw unreachable(op)
  for (; now === 'silent'; now = state()) {
    await delay(10)
    throwIfAborted(signal)
  }
}

function unreachable(op: string): HubError {
  return new HubError('UNAVAILABLE', 'The connection was reset.', { at: { scheme: 'faulty', op }, retryable: true })
}

function wrapped(
  driver: IndexDriver,
  replace: (name: string, member: unknown) => ((...args: never[]) => unknown) | undefined,
): IndexDriver {
  return new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      return replace(String(name), member) ?? (typeof member === 'function' ? member.bind(target) : member)
    },
  })
}
