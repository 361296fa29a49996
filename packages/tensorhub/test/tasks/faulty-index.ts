import { type Change, HubError, type IndexDriver } from '@tensorhub/core'
import { memoryIndex } from '@tensorhub/memory'

/** What happens to one `takeOne` of the tasks. */
export type Fault = 'none' | 'reply lost' | 'not applied'

/** An index in memory whose `takeOne` on tasks can lose its reply after the write was applied, or fail before it. */
export function faultyIndex(fault: (change: Change) => Fault): IndexDriver {
  const driver = memoryIndex()
  const lost = () =>
    new HubError('UNAVAILABLE', 'The connection was reset.', {
      at: { scheme: 'faulty', op: 'takeOne' },
      retryable: true,
    })
  return new Proxy(driver, {
    get(target, name) {
      if (name === 'takeOne') {
        const takeOne: IndexDriver['takeOne'] = async (coll, where, change, o) => {
          const kind = coll === 'tasks' ? fault(change) : 'none'
          if (kind === 'not applied') throw lost()
          const doc = await target.takeOne(coll, where, change, o)
          if (kind === 'reply lost') throw lost()
          return doc
        }
        return takeOne
      }
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
