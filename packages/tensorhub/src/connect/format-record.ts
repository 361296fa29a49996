import { type Call, type ErrorPlace, HubError, type IndexStore, isHubError } from '@tensorhub/core'

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

const RECORD = { op: 'eq', path: ['_id'], value: 'format' } as const

/** Whether the format record of a hub without a folder (document `format` of the index's collection `_hub`) is there. @throws as {@link checkFormat}. */
export async function readFormatRecord(index: IndexStore, call: Call): Promise<boolean> {
  const record = await index.top('_hub', RECORD, call)
  if (record === undefined) return false
  checkFormat(record, { scheme: index.scheme, op: 'connect', target: '_hub/format' })
  return true
}

/** Makes the record; another process may have been faster. */
export async function writeFormatRecord(index: IndexStore, call: Call): Promise<void> {
  try {
    await index.insert('_hub', [{ _id: 'format', format: FORMAT }], call)
  } catch (error) {
    if (!isHubError(error, 'EXISTS')) throw error
    await readFormatRecord(index, call)
  }
}
