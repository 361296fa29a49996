import type { BlobCan, BlobDriver, Call, IndexCan, IndexDriver } from '@tensorhub/core'

/** What the driver will surely offer is not known before it is there; the effective record comes from `open`. */
const INDEX_CAN: IndexCan = { maxDocBytes: 16 * 1024 * 1024, transactions: false, uniqueKeys: true, watch: false }
const BLOB_CAN: BlobCan = {
  ifAbsent: false,
  ifVersion: false,
  meta: false,
  copy: false,
  sign: false,
  partMin: 1,
  partMax: 1,
  partsMax: 1,
  sizeMax: Number.MAX_SAFE_INTEGER,
  deleteMax: 1000,
}

/** An index driver whose adapter is imported when it is first used. */
export function laterIndex(scheme: string, make: () => Promise<IndexDriver>): IndexDriver {
  let driver: IndexDriver | undefined
  const it = () => driver as IndexDriver
  return {
    scheme,
    can: INDEX_CAN,
    async open(call: Call) {
      driver ??= await make()
      return { ...((await driver.open?.(call)) ?? driver.can), watch: false }
    },
    close: async () => driver?.close?.(),
    native: () => driver?.native?.(),
    ensureIndex: (...args) => it().ensureIndex(...args),
    insert: (...args) => it().insert(...args),
    find: (...args) => it().find(...args),
    count: (...args) => it().count(...args),
    update: (...args) => it().update(...args),
    takeOne: (...args) => it().takeOne(...args),
    delete: (...args) => it().delete(...args),
    now: (...args) => it().now(...args),
    exact: (...args) => it().exact?.(...args) ?? { where: true, order: true },
  }
}

/** A blob driver whose adapter is imported when it is first used. */
export function laterBlobs(scheme: string, make: () => Promise<BlobDriver>): BlobDriver {
  let driver: BlobDriver | undefined
  const it = () => driver as BlobDriver
  const later: BlobDriver = {
    scheme,
    can: BLOB_CAN,
    async open(call: Call) {
      driver ??= await make()
      // Shorter ways that only some adapters have; core asks for them after `open`.
      if (driver.writeBytes !== undefined) later.writeBytes = driver.writeBytes.bind(driver)
      if (driver.readInto !== undefined) later.readInto = driver.readInto.bind(driver)
      return { ...((await driver.open?.(call)) ?? driver.can), copy: false, sign: false }
    },
    close: async () => driver?.close?.(),
    native: () => driver?.native?.(),
    stat: (...args) => it().stat(...args),
    read: (...args) => it().read(...args),
    write: (...args) => it().write(...args),
    delete: (...args) => it().delete(...args),
    list: (...args) => it().list(...args),
    sweep: async (o) => (await it().sweep?.(o)) ?? { count: 0, bytes: 0 },
  }
  return later
}
