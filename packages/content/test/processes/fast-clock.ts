import type { BlobDriver, BlobInfo, IndexDriver } from '@tensorhub/core'

/** Where the fast clock and the real one agree. */
const START = new Date('2026-01-01').getTime()

/** Hub time runs `scale` times as fast as real time, for every process alike: a day's grace passes in seconds. */
const fast = (moment: Date, scale: number) => new Date(START + (moment.getTime() - START) * scale)

export function fastIndex(scale: number): (driver: IndexDriver) => IndexDriver {
  return (driver) => {
    const now = driver.now.bind(driver)
    return Object.assign(driver, { now: async (o: Parameters<typeof now>[0]) => fast(await now(o), scale) })
  }
}

export function fastBlobs(scale: number): (driver: BlobDriver) => BlobDriver {
  return (driver) => {
    const list = driver.list.bind(driver)
    const sweep = driver.sweep?.bind(driver)
    const scaled = async function* (...args: Parameters<typeof list>): AsyncGenerator<BlobInfo, void, undefined> {
      for await (const info of list(...args)) yield { ...info, modified: fast(info.modified, scale) }
    }
    return Object.assign(driver, {
      list: scaled,
      sweep: async (o: Parameters<NonNullable<typeof sweep>>[0]) =>
        (await sweep?.({ ...o, before: new Date(START + (o.before.getTime() - START) / scale) })) ?? {
          count: 0,
          bytes: 0,
        },
    })
  }
}
