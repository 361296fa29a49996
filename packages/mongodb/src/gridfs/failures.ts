import { CODES, codeOf, isDuplicateKey, isUnreachable } from '../errors.ts'

/** The driver gives a network failure within `insertMany` as a MongoBulkWriteError whose `errorResponse` is the failure itself (bulk/common.ts of mongodb 7.9). */
export function original(error: unknown): unknown {
  const { errorResponse } = (error ?? {}) as { readonly errorResponse?: unknown }
  return errorResponse instanceof Error ? errorResponse : error
}

/** Whether an unordered insert failed on nothing but documents that are there already. */
export function areAllDuplicates(error: unknown): boolean {
  const { writeErrors, err } = error as { readonly writeErrors?: unknown; readonly err?: unknown }
  const all: readonly unknown[] = Array.isArray(writeErrors) ? writeErrors : [writeErrors]
  return err === undefined && all.length > 0 && all.every((each) => isDuplicateKey({ code: codeIn(each) }))
}

function codeIn(error: unknown): unknown {
  return (error as { readonly code?: unknown } | undefined)?.code
}

/** Too much to do (Cosmos DB), a conflict that the server itself gave up on, a majority that is not there yet. */
const PASSING = [16500, CODES.writeConflict, 134]

/** Whether the same request may succeed when it is sent again. */
export function isPassing(error: unknown): boolean {
  const first = original(error)
  const { errorLabels } = (first ?? {}) as { readonly errorLabels?: readonly string[] }
  return (
    isUnreachable(first) ||
    PASSING.includes(codeOf(first) ?? 0) ||
    ['RetryableWriteError', 'RetryableError', 'SystemOverloadedError'].some((label) => errorLabels?.includes(label))
  )
}

/** Whether a write may have been done although it failed: no answer came, or a majority did not confirm it. What the server refused was not done. */
export function isAmbiguous(error: unknown): boolean {
  const first = original(error)
  return (
    isPassing(first) ||
    (first as { readonly name?: string } | undefined)?.name === 'MongoWriteConcernError' ||
    codeOf(first) === CODES.writeConcernTimeout
  )
}
