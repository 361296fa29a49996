import type { BlobCan, BlobDriver, Call, Driver, IndexCan, IndexDriver } from '@tensorhub/core'

/** How the suites get stores to test. */
export interface Harness<D, Cap> {
  /** A driver on a new, empty store. */
  make(): D | Promise<D>
  /** A second driver on the same store, as another process would open it: every write must be visible there. */
  again(driver: D): D | Promise<D>
  /** Frees the store of a driver that `make` gave, after the suite closed it. */
  wipe?(driver: D): Promise<void>
  /**
   * A driver whose store cannot be used (dead endpoint, wrong credentials, unreadable folder): every call must reject, and none may answer "nothing there".
   * For a store that cannot fail: why.
   */
  readonly unusable: (() => D | Promise<D>) | { readonly why: string }
  /** For a server that is weaker than the service it stands in for: what not to expect of it, and why. Stands beside the server, never in the driver. */
  narrow?: { readonly can: Partial<Cap>; readonly why: string }
}

export type IndexHarness = Harness<IndexDriver, IndexCan>

export interface BlobHarness extends Harness<BlobDriver, BlobCan> {
  /** True when the store is this process's own memory, so that what it keeps is not counted as buffering. */
  readonly inProcess?: boolean
  /** For a server that keeps keys as paths, so that no key can lie under another: why. Tests of such keys leave those out. */
  readonly keysArePaths?: { readonly why: string }
  /** What interrupted writes left in the store (unfinished uploads, temporary files), where `sweep` cannot count it. */
  leftovers?(driver: BlobDriver): Promise<number>
}

/** The driver with a narrower record of capabilities; everything else goes to the driver. */
export function narrowed<D extends Driver<Cap>, Cap extends object>(
  driver: D,
  narrow: { readonly can: Partial<Cap> } | undefined,
): D {
  if (narrow === undefined) return driver
  return new Proxy(driver, {
    get(target, name) {
      if (name === 'can') return { ...target.can, ...narrow.can }
      if (name === 'open')
        return async (call: Call) => ({ ...((await target.open?.(call)) ?? target.can), ...narrow.can })
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}
