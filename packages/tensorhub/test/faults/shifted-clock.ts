import type { IndexDriver } from '@tensorhub/core'

/** An index whose clock is ahead by so many ms: the time after a crash at which leases, pins and graces are over, without waiting for it. */
export function shiftedClock(driver: IndexDriver, ahead: number | (() => number)): IndexDriver {
  return new Proxy(driver, {
    get(target, name) {
      if (name === 'now')
        return async (...args: Parameters<IndexDriver['now']>) =>
          new Date((await target.now(...args)).getTime() + (typeof ahead === 'number' ? ahead : ahead()))
      const member: unknown = Reflect.get(target, name, target)
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
}
