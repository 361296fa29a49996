import { randomUUID } from 'node:crypto'
import type { BlobInfo, WriteOptions } from '@tensorhub/core'
import { noBucket } from './errors.ts'
import { FIELDS, type ObjectResource } from './object-info.ts'
import type { Service } from './service.ts'
import { uploadPath, type Writing } from './writing.ts'

/** A body in one request: metadata and bytes as multipart/related. https://cloud.google.com/storage/docs/uploading-objects#rest-upload-objects */
export async function uploadOnce(
  service: Service,
  writing: Writing,
  bytes: Uint8Array,
  o: Omit<WriteOptions, 'size'>,
): Promise<BlobInfo> {
  const boundary = `tensorhub-${randomUUID()}`
  const resource = writing.resource(o)
  const text = (...lines: string[]) => new TextEncoder().encode(lines.join('\r\n'))
  const head = text(
    `--${boundary}`,
    'content-type: application/json; charset=UTF-8',
    '',
    JSON.stringify({ name: writing.name, ...resource }),
    `--${boundary}`,
    `content-type: ${resource.contentType}`,
    '',
    '',
  )
  const tail = text('', `--${boundary}--`, '')
  return writing.commit(bytes.byteLength, () =>
    service
      .json<ObjectResource>({
        method: 'POST',
        path: uploadPath(service.bucket, { uploadType: 'multipart', fields: FIELDS, ...writing.condition }),
        headers: { 'content-type': `multipart/related; boundary=${boundary}` },
        body: [head, bytes, tail],
        signal: o.signal,
      })
      .catch(noBucket),
  )
}
