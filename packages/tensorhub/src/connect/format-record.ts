import { type ErrorPlace, HubError, type IndexStore, isHubError } from '@tensorhub/core'

/** The layout this version reads and writes. */
export const FORMAT = 1

/** @throws UNSUPPORTED when the record was written by a newer version, INTEGRITY when it is no record. */
export function checkFormat(record: unknown, at: ErrorPlace): void {
  const format = typeof record === 'object' && record !== null ? (record as { format?: unknown }).format : undefined
  if (typeof format !== 'number' || !Number.isInteger(format) || format < 1) {
    throw new HubError('INTEGRITY', `The hub's format record is damaged: it has no whole number 'format'.`, { at })
  }
  if (format > FORMAT) {
    throw new HubError(
      'UNSUPPORTED',
      `This hub has format ${format}, and this version of tensorhub reads up to ${FORMAT}; upgrade tensorhub. Nothing was touched.`,
      { at },
    )
  }
}

/** The same record for hubs without a folder: document `format` of the index's collection `_hub`. Made if absent. */
export async function ensureFormatRecord(index: IndexStore, signal?: AbortSignal): Promise<void> {
  const call = signal ? { signal } : {}
  const at = { scheme: 'hub', op: 'connect', target: '_hub/format' }
  const where = { op: 'eq', path: ['_id'], value: 'format' } as const
  let record = await index.top('_hub', where, call)
  if (record === undefined) {
    try {
      await index.insert('_hub', [{ _id: 'format', format: FORMAT }], call)
      return
    } catch (error) {
      if (!isHubError(error, 'EXISTS')) throw error
      record = await index.top('_hub', where, call)
    }
  }
  checkFormat(record, at)
}
