/** The stores whose operations have names. */
export type HttpStore = 's3' | 'gcs' | 'azure'

interface Seen {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: ReadonlyMap<string, string>
}

/** The name that a store's documentation gives to what a request does; `PUT /path` for what has none here. */
export function operationOf(store: HttpStore | undefined, request: Seen): string {
  const name = store && { s3, gcs, azure }[store](request)
  return name ?? `${request.method} ${request.path}`
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html; path style. */
function s3({ method, path, query, headers }: Seen): string | undefined {
  const [bucket, ...key] = path.slice(1).split('/')
  const copies = headers.has('x-amz-copy-source')
  if (!bucket) return method === 'GET' ? 'ListBuckets' : undefined
  if (key.join('/') === '') {
    if (method === 'POST' && query.has('delete')) return 'DeleteObjects'
    if (method === 'GET' && query.has('uploads')) return 'ListMultipartUploads'
    if (method === 'GET' && query.has('location')) return 'GetBucketLocation'
    if (method === 'GET') return query.get('list-type') === '2' ? 'ListObjectsV2' : 'ListObjects'
    return { PUT: 'CreateBucket', HEAD: 'HeadBucket', DELETE: 'DeleteBucket' }[method]
  }
  if (method === 'POST' && query.has('uploads')) return 'CreateMultipartUpload'
  if (query.has('uploadId')) {
    if (method === 'PUT') return copies ? 'UploadPartCopy' : 'UploadPart'
    return { POST: 'CompleteMultipartUpload', DELETE: 'AbortMultipartUpload', GET: 'ListParts' }[method]
  }
  if (method === 'PUT') return copies ? 'CopyObject' : 'PutObject'
  return { GET: 'GetObject', HEAD: 'HeadObject', DELETE: 'DeleteObject' }[method]
}

/** https://cloud.google.com/storage/docs/json_api/v1; a resumable upload's requests have names of their own. */
function gcs({ method, path, query }: Seen): string | undefined {
  const upload = /^\/(?:upload|resumable)\//.test(path)
  if (upload && (query.has('upload_id') || path.startsWith('/upload/resumable/'))) {
    return { PUT: 'upload.put', DELETE: 'upload.cancel' }[method]
  }
  if (upload) return query.get('uploadType') === 'resumable' ? 'upload.start' : 'objects.insert'
  if (/^\/download\/storage\/v1\//.test(path)) return 'objects.get media'
  const inner = /^\/storage\/v1\/b(?:\/([^/]+)(?:\/o(?:\/(.+))?)?)?$/.exec(path)
  if (inner === null) return undefined
  const [, bucket, name] = inner
  if (name !== undefined) {
    if (method === 'POST' && /\/compose$/.test(name)) return 'objects.compose'
    if (method === 'POST' && /\/rewriteTo\//.test(name)) return 'objects.rewrite'
    if (method === 'POST' && /\/copyTo\//.test(name)) return 'objects.copy'
    if (method === 'GET') return query.get('alt') === 'media' ? 'objects.get media' : 'objects.get'
    return { DELETE: 'objects.delete', PATCH: 'objects.patch', PUT: 'objects.update' }[method]
  }
  if (/\/o$/.test(path)) return method === 'GET' ? 'objects.list' : undefined
  if (bucket === undefined) return { GET: 'buckets.list', POST: 'buckets.insert' }[method]
  return { GET: 'buckets.get', DELETE: 'buckets.delete', PATCH: 'buckets.patch' }[method]
}

/** https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api */
function azure({ method, query, headers }: Seen): string | undefined {
  const component = query.get('comp')
  if (query.get('restype') === 'container') {
    if (component === 'list') return 'List Blobs'
    if (component !== null) return undefined
    return {
      ...{ PUT: 'Create Container', DELETE: 'Delete Container' },
      ...{ GET: 'Get Container Properties', HEAD: 'Get Container Properties' },
    }[method]
  }
  if (component === 'list') return 'List Containers'
  if (component === 'block') return headers.has('x-ms-copy-source') ? 'Put Block From URL' : 'Put Block'
  if (component === 'blocklist') return method === 'GET' ? 'Get Block List' : 'Put Block List'
  if (component === 'metadata') return method === 'PUT' ? 'Set Blob Metadata' : 'Get Blob Metadata'
  if (component === 'batch') return 'Blob Batch'
  if (component !== null) return undefined
  if (method === 'PUT') return headers.has('x-ms-copy-source') ? 'Copy Blob' : 'Put Blob'
  return { GET: 'Get Blob', HEAD: 'Get Blob Properties', DELETE: 'Delete Blob' }[method]
}
