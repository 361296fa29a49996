import { type IndexEvent, type Predicate, pause } from '@tensorhub/core'
import { type ChangeStream, type Collection, type Document, ReadConcern, type ResumeToken } from 'mongodb'
import { codeOf, isUnreachable } from './errors.ts'
import { compileFilter, pinnedId } from './filter.ts'

/** The stream's place is no longer in the log, or its collection was dropped: what changed is found by comparing. */
const HISTORY_LOST = new Set([136, 260, 280, 286, 10334])
/** A stream that was open for so long had not been failing, in ms. */
const SOUND_MS = 5000
/** Names of documents that wait to be looked at; beyond that the stream waits. */
const MOST = 10_000

/** The only level there is for change streams; the database's own, `local`, is refused. https://www.mongodb.com/docs/manual/changeStreams/#read-concern-majority */
const STREAM = { readConcern: new ReadConcern('majority') }

interface Change {
  readonly operationType: string
  readonly documentKey?: { readonly _id: string }
}

/**
 * Events of matching documents, by a change stream. It tells which documents changed; those are read, `_id` and `_rev`, and compared with the last time: so a document that begins or
 * ceases to match is told as well, several changes between two looks at one document are one event, and memory is one entry a matching document, as where core polls.
 * A stream that breaks goes on from where it was; where the server no longer knows, everything is compared once.
 */
export async function* watchChanges(
  collection: Collection,
  where: Predicate,
  { timeout, silence }: { readonly timeout: number; readonly silence: number },
  signal: AbortSignal | undefined,
): AsyncGenerator<IndexEvent, void, undefined> {
  const { filter } = compileFilter(where)
  const id = pinnedId(where)
  const pipeline: Document[] = [
    ...(id === undefined ? [] : [{ $match: { 'documentKey._id': { $eq: id } } }]),
    { $project: { operationType: 1, documentKey: 1 } },
  ]
  // The server is silent for so long when nothing happens: less than the client takes for a broken connection.
  const awaitMs = Math.min(1000, Math.ceil(silence / 2))
  const known = new Map<string, unknown>()
  let resumeAfter: ResumeToken
  let begun = false
  for (let wait = 50, failing = performance.now(); ; wait = Math.min(wait * 2, 2000)) {
    let opened = Number.POSITIVE_INFINITY
    const stream = collection.watch<Document, Change & Document>(pipeline, {
      ...(resumeAfter === undefined ? {} : { resumeAfter }),
      ...STREAM,
      maxAwaitTimeMS: awaitMs,
    })
    const close = () => void stream.close()
    signal?.addEventListener('abort', close, { once: true })
    try {
      // Opens the cursor: from here on nothing is missed.
      const first = await stream.tryNext()
      opened = performance.now()
      // Compared with everything once at the beginning, and where the stream did not begin where the last one ended.
      if (!begun || resumeAfter === undefined) {
        const events = compare(known, await current(collection, filter), new Set(known.keys()), new Map())
        if (begun) yield* events
        begun = true
      }
      for await (const { changed, token } of batches(stream, first)) {
        yield* compare(known, await current(collection, filter, [...changed.keys()]), changed.keys(), changed)
        resumeAfter = token
        wait = 50
        failing = performance.now()
      }
      resumeAfter = undefined
      signal?.throwIfAborted()
    } catch (error) {
      signal?.throwIfAborted()
      // While nothing changes nothing comes: what has been quiet was well all the same.
      if (performance.now() - opened > Math.min(SOUND_MS, timeout)) {
        wait = 50
        failing = performance.now()
      }
      if (HISTORY_LOST.has(codeOf(error) ?? 0) || isEnded(error)) resumeAfter = undefined
      else if (!isUnreachable(error) && (error as Error).name !== 'MongoChangeStreamError') throw error
      else if (performance.now() - failing > timeout) throw error
    } finally {
      signal?.removeEventListener('abort', close)
      await stream.close()
    }
    await pause(wait * (0.5 + Math.random() / 2), signal)
  }
}

/** The server has closed the cursor, since the collection was dropped or renamed: the driver has no more than a text for that (`_processChange` in change_stream.ts of mongodb 7.9). */
function isEnded(error: unknown): boolean {
  return error instanceof Error && error.message === 'ChangeStream is closed'
}

interface Batch {
  readonly changed: ReadonlyMap<string, ReadonlySet<string>>
  /** Where the stream goes on behind this batch. */
  readonly token: ResumeToken
}

/** The documents named since the last batch, with what happened to them; as many as there are by the time they are asked for. */
async function* batches(
  stream: ChangeStream<Document, Change & Document>,
  first: (Change & Document) | null,
): AsyncGenerator<Batch> {
  let pending = new Map<string, Set<string>>()
  let wake: () => void = () => undefined
  let room: () => void = () => undefined
  let ended: { readonly error?: unknown } | undefined
  const add = (change: Change) => {
    const id = change.documentKey?._id
    if (typeof id !== 'string') return
    const kinds = pending.get(id)
    if (kinds === undefined) pending.set(id, new Set([change.operationType]))
    else kinds.add(change.operationType)
  }
  if (first !== null) add(first)
  const reading = (async () => {
    for await (const change of stream) {
      add(change)
      wake()
      if (pending.size >= MOST)
        await new Promise<void>((resolve) => {
          room = resolve
        })
    }
  })().then(
    () => {
      ended = {}
      wake()
    },
    (error: unknown) => {
      ended = { error }
      wake()
    },
  )
  try {
    for (;;) {
      if (pending.size > 0) {
        const batch = pending
        const token = stream.resumeToken
        pending = new Map()
        room()
        yield { changed: batch, token }
      } else if (ended !== undefined) {
        if ('error' in ended) throw ended.error
        return
      } else {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    }
  } finally {
    room()
    await stream.close()
    await reading
  }
}

/** `_id` and `_rev` of what matches now: of everything, or of some documents. */
async function current(
  collection: Collection,
  filter: Document,
  ids?: readonly string[],
): Promise<Map<string, unknown>> {
  const wanted = ids === undefined ? filter : { $and: [filter, { _id: { $in: [...ids] } }] }
  const found = new Map<string, unknown>()
  for await (const doc of collection.find(wanted as Document, { projection: { _id: 1, _rev: 1 }, batchSize: 5000 }))
    found.set(String(doc._id), doc['_rev'])
  return found
}

/** What changed between what was known and what is; brings the former up to date. */
function compare(
  known: Map<string, unknown>,
  now: ReadonlyMap<string, unknown>,
  looked: Iterable<string>,
  kinds: ReadonlyMap<string, ReadonlySet<string>>,
): IndexEvent[] {
  const events: IndexEvent[] = []
  for (const _id of [...looked]) {
    if (now.has(_id) || !known.has(_id)) continue
    known.delete(_id)
    events.push({ _id, op: 'delete' })
  }
  for (const [_id, rev] of now) {
    const became = kinds.get(_id)
    if (!known.has(_id)) events.push({ _id, op: became !== undefined && !became.has('insert') ? 'update' : 'insert' })
    // Known, and inserted since: either anew, or between the opening of the stream and the first look, which then saw it already.
    else if (became?.has('insert')) events.push({ _id, op: became.has('delete') ? 'update' : 'insert' })
    else if (known.get(_id) !== rev) events.push({ _id, op: 'update' })
    known.set(_id, rev)
  }
  return events
}
