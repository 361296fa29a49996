import { type BlobInfo, type Call, type PartUpload, retrying, type WriteOptions } from '@tensorhub/core'
import { isConditionFailed, NotTheStore, noBucket, ReplyFailure, transientWithin, UploadLost } from './errors.ts'
import type { HttpReply } from './http.ts'
import { FIELDS, type ObjectResource } from './object-info.ts'
import { UNIT } from './options.ts'
import type { Service } from './service.ts'
import { uploadOnce } from './upload-once.ts'
import { uploadPath, type Writing } from './writing.ts'

/** A resumable upload. */
export interface Session {
  /** Path and query of the session's URI. It is a secret: whoever has it can write. */
  readonly path: string
  /** Bytes that the service has. */
  sent: number
  /** Bytes behind those, which are held back because the request with the last byte commits. */
  held: readonly Uint8Array[]
}

/**
 * A body by one resumable session, whose precondition is given when it begins and held at its end, and of which nothing is ever visible before. Its parts follow
 * each other; while one is on its way the next is read, so two are in memory. It leaves nothing in the bucket: an abandoned session vanishes by itself within a
 * week. https://cloud.google.com/storage/docs/resumable-uploads
 */
export function resumable(service: Service, writing: Writing, o: WriteOptions): PartUpload<Session> {
  return {
    once: (bytes) => uploadOnce(service, writing, bytes, o),

    async begin(call): Promise<Session> {
      const start = async () => {
        const body = new TextEncoder().encode(JSON.stringify({ name: writing.name, ...writing.resource(o) }))
        const reply = await service.send({
          method: 'POST',
          path: uploadPath(service.bucket, {
            uploadType: 'resumable',
            name: writing.name,
            fields: FIELDS,
            ...writing.condition,
          }),
          headers: { 'content-type': 'application/json; charset=UTF-8' },
          body: [body],
          signal: call.signal,
        })
        await reply.bytes()
        const location = URL.parse(reply.headers.location ?? '')
        if (location === null) throw new NotTheStore(service.host, `${reply.status} without the place of an upload`)
        // On the endpoint that is in use, also where the service names itself otherwise (a private endpoint, a proxy).
        return `${location.pathname}${location.search}`
      }
      try {
        const path = await retrying(start, { isTransient: transientWithin(service.timeout), ...signalOf(call) })
        return { path, sent: 0, held: [] }
      } catch (error) {
        if (o.when !== undefined && isConditionFailed(error)) throw writing.refused()
        return noBucket(error)
      }
    },

    async part(session, n, bytes, call): Promise<string> {
      const pieces = [...session.held, bytes]
      const size = sizeOf(pieces)
      if (session.sent + size === o.size) session.held = pieces
      else {
        // At least one byte must be left for the commit, and what goes before must be whole units.
        const back = bytes.byteLength % UNIT || UNIT
        session.held = [bytes.slice(bytes.byteLength - back)]
        await sendPart(service, session, pieces, size - back, call)
      }
      return String(n)
    },

    async finish(session, _tags, call): Promise<BlobInfo> {
      const total = session.sent + sizeOf(session.held)
      return writing.commit(total, async () => {
        for (;;) {
          const rest = lastOf(session.held, total - session.sent)
          const reply = await put(service, session, rest, String(total), call).catch(sessionGone)
          if (reply.status !== 308) return service.object<ObjectResource>(reply)
          await reply.bytes()
          advance(service, session, reply)
        }
      })
    },

    async abort(session, { finishing }): Promise<void> {
      // A commit whose reply was lost has no session any more, and must not lose its blob either.
      if (finishing) return
      // 499: cancelled. https://cloud.google.com/storage/docs/performing-resumable-uploads#cancel-upload
      await (await service.send({ method: 'DELETE', path: session.path, accept: [404, 410, 499] })).bytes()
    },
  }
}

/**
 * Sends a part that is not the last. What the service already has of it, it ignores, so a part is simply sent again after a failure.
 * https://cloud.google.com/storage/docs/resumable-uploads#integrity-checks
 */
async function sendPart(
  service: Service,
  session: Session,
  pieces: readonly Uint8Array[],
  size: number,
  o: Call,
): Promise<void> {
  const end = session.sent + size
  const part = firstOf(pieces, size)
  await retrying(
    async () => {
      while (session.sent < end) {
        const reply = await put(service, session, lastOf(part, end - session.sent), '*', o).catch(sessionGone)
        await reply.bytes()
        if (reply.status !== 308) throw new NotTheStore(service.host, `${reply.status} to a part that was not the last`)
        advance(service, session, reply)
      }
    },
    { isTransient: transientWithin(service.timeout), ...signalOf(o) },
  )
}

function sizeOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { byteLength }) => sum + byteLength, 0)
}

/** The first so many bytes, without a copy. */
function firstOf(pieces: readonly Uint8Array[], size: number): Uint8Array[] {
  let left = size
  return pieces.map((piece) => {
    const taken = piece.subarray(0, left)
    left -= taken.byteLength
    return taken
  })
}

/** The last so many bytes, without a copy. */
function lastOf(pieces: readonly Uint8Array[], size: number): Uint8Array[] {
  let skipped = sizeOf(pieces) - size
  return pieces.map((piece) => {
    const from = Math.min(skipped, piece.byteLength)
    skipped -= from
    return piece.subarray(from)
  })
}

/** Sends bytes that follow what the session has. */
function put(
  service: Service,
  session: Session,
  pieces: readonly Uint8Array[],
  total: string,
  o: Call,
): Promise<HttpReply> {
  const from = session.sent
  return service.send({
    method: 'PUT',
    path: session.path,
    headers: { 'content-range': `bytes ${from}-${from + sizeOf(pieces) - 1}/${total}` },
    body: pieces,
    accept: [308],
    signal: o.signal,
  })
}

/** Notes how many bytes the service has, by its reply; it may have kept a part of what was sent. @throws when it kept none. */
function advance(service: Service, session: Session, reply: HttpReply): void {
  const end = /^bytes=0-(\d+)$/.exec(String(reply.headers.range ?? ''))?.[1]
  const kept = end === undefined ? 0 : Number(end) + 1
  if (kept <= session.sent)
    throw new ReplyFailure(308, 'nothingKept', 'None of a part was kept.', service.host, service.bucket)
  session.sent = kept
}

/** A session that the service has forgotten cannot be gone on with: what was sent before is not there to be sent again. */
function sessionGone(error: unknown): never {
  if (error instanceof ReplyFailure && (error.status === 404 || error.status === 410)) throw new UploadLost(error.host)
  throw error
}

function signalOf(o: Call): { signal?: AbortSignal } {
  return o.signal ? { signal: o.signal } : {}
}
