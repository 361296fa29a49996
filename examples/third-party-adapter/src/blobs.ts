import type { BlobCan, BlobDriver, BlobInfo } from '@tensorhub/core'
import { guarded, refuse, storeOf } from './store.ts'

const ANY = Number.MAX_SAFE_INTEGER
const LIMITS = { partMin: 1, partMax: ANY, partsMax: ANY, sizeMax: ANY, deleteMax: 1000 }
const CAN: BlobCan = { ifAbsent: true, ifVersion: true, meta: false, copy: false, sign: false, ...LIMITS }
const NEW = 'INSERT INTO blobs (key, size, modified) VALUES (?, ?, ?) RETURNING *'
type Row = { readonly id: number; readonly key: string; readonly size: number; readonly modified: number }

/** Blobs in the file, cut into the pieces they came in. */
export function oneFileBlobs(file: string): BlobDriver {
  const { sql, atomically, ...store } = storeOf(file)
  const find = (key: string) => sql('SELECT * FROM blobs WHERE key = ?').get(key) as Row | undefined
  const info = (row: Row): BlobInfo => ({ ...row, modified: new Date(row.modified), version: String(row.id) })
  const drop = (key: string) => sql('DELETE FROM blobs WHERE key = ?').run(key)
  let uploads = 0
  const driver: BlobDriver = {
    scheme: 'onefile',
    can: CAN,
    ...store,
    stat: async (key) => info(find(key) ?? refuse('NOT_FOUND', `There is no blob '${key}'.`, 'stat', key)),
    async read(key, o) {
      const found = await driver.stat(key, o)
      const wanted = o.ifVersion ?? found.version
      if (wanted !== found.version) refuse('CONFLICT', `Blob '${key}' has another version by now.`, 'read', key)
      let at = o.range?.offset ?? 0
      if (at > 0 && at >= found.size) refuse('RANGE', `Blob '${key}' ends before byte ${at}.`, 'read', key)
      const end = Math.min(found.size, at + (o.range?.length ?? found.size))
      const piece = sql('SELECT start, bytes FROM pieces WHERE id = ? AND start <= ? ORDER BY start DESC LIMIT 1')
      function* pieces() {
        while (at < end) {
          const held = piece.get(Number(found.version), at) as { start: number; bytes: Uint8Array } | undefined
          if (held === undefined) refuse('CONFLICT', `Blob '${key}' was replaced while it was read.`, 'read', key)
          yield held.bytes.subarray(at - held.start, end - held.start)
          at = held.start + held.bytes.byteLength
        }
      }
      return { info: found, body: ReadableStream.from(pieces()) }
    },
    async write(key, body, { when }) {
      const upload = ++uploads
      try {
        let size = 0
        for await (const bytes of body) {
          sql('INSERT INTO staged VALUES (?, ?, ?)').run(upload, size, bytes)
          size += bytes.byteLength
        }
        // The condition is checked where it counts: in the transaction that makes the blob visible.
        return atomically(() => {
          const version = find(key)?.id.toString()
          const wrong = when && ('ifAbsent' in when ? version && 'EXISTS' : version !== when.ifVersion && 'CONFLICT')
          if (wrong) refuse(wrong, `Blob '${key}' exists, or has another version.`, 'write', key)
          drop(key)
          const row = sql(NEW).get(key, size, Date.now()) as Row
          sql('INSERT INTO pieces SELECT ?, start, bytes FROM staged WHERE upload = ?').run(row.id, upload)
          return info(row)
        })
      } finally {
        sql('DELETE FROM staged WHERE upload = ?').run(upload)
      }
    },
    delete: async (keys) => atomically(() => keys.forEach((key) => void drop(key))),
    async *list(prefix, o) {
      const next = sql('SELECT * FROM blobs WHERE key > ? AND key >= ? AND substr(key, 1, ?) = ? ORDER BY key LIMIT 1')
      for (let [after, left] = [o.after ?? '', o.limit ?? ANY]; left > 0; left--) {
        const row = next.get(after, prefix, prefix.length, prefix) as Row | undefined
        if (row === undefined) return
        yield info(row)
        after = row.key
      }
    },
  }
  return guarded(driver)
}
