import { type BlobDriver, HubError, redactUrl } from '@tensorhub/core'
import { gcs } from './driver.ts'

const KNOWN = ['endpoint', 'keyFile', 'parallel', 'partSize', 'probe', 'projectId', 'timeout']

/**
 * `gs://bucket/prefix?endpoint=&keyFile=&projectId=&timeout=&partSize=&parallel=&probe=`; all parameters may be left out, and mean what the options of the same name
 * do. Credentials are never in the URL: the application-default ones, or those of the file that `keyFile` names.
 */
export function blobsFromUrl(url: string): BlobDriver {
  const parts = /^gs:\/\/([^/?#@:]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/i.exec(url)
  if (parts === null)
    throw invalid(`'${redactUrl(url)}' is no URL of Google Cloud Storage: gs://bucket/prefix?projectId=…`)
  const [, bucket = '', prefix = '', query = ''] = parts
  const given = new URLSearchParams(query)
  for (const name of given.keys())
    if (!KNOWN.includes(name))
      throw invalid(`A gs: URL has no parameter '${name}'; it knows ${KNOWN.join(', ')}.`, name)
    else if (given.get(name) === '' || given.getAll(name).length > 1)
      throw invalid(`The parameter '${name}' must have a value, and one only.`, name)
  const text = (name: string) => {
    const value = given.get(name)
    return value === null ? {} : { [name]: value }
  }
  const number = (name: string) => {
    const value = given.get(name)
    if (value === null) return {}
    if (!/^\d{1,15}$/.test(value)) throw invalid(`The parameter '${name}' must be a whole number.`, name)
    return { [name]: Number(value) }
  }
  const probe = given.get('probe')
  if (probe !== null && probe !== 'true' && probe !== 'false')
    throw invalid("The parameter 'probe' must be true or false.", 'probe')
  return gcs({
    bucket,
    ...(prefix === '' ? {} : { prefix: decode(prefix) }),
    ...text('endpoint'),
    ...text('keyFile'),
    ...text('projectId'),
    ...number('timeout'),
    ...number('partSize'),
    ...number('parallel'),
    ...(probe === null ? {} : { probe: probe === 'true' }),
  })
}

function decode(prefix: string): string {
  try {
    return decodeURIComponent(prefix)
  } catch {
    throw invalid('The prefix of the gs: URL is not percent-encoded as URLs are.', 'prefix')
  }
}

function invalid(message: string, path?: string): HubError {
  return new HubError('INVALID', message, {
    at: { scheme: 'gcs', op: 'open' },
    ...(path === undefined ? {} : { path }),
  })
}
