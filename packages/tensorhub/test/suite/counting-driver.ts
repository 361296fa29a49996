import type { IndexDriver } from '@tensorhub/core'

/** The same index, which counts its calls. */
export function counting(driver: IndexDriver): {
  driver: IndexDriver
  calls: Record<string, number> & { find: number; count: number }
} {
  const calls: Record<string, number> & { find: number; count: number } = { find: 0, count: 0 }
  const counted = new Proxy(driver, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name, target)
      if (typeof member !== 'function' || typeof name !== 'string') return member
      return (...args: unknown[]) => {
        calls[name] = (calls[name] ?? 0) + 1
        return Reflect.apply(member, target, args)
      }
    },
  })
  return { driver: counted, calls }
}
