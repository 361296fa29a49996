import { resolve } from 'node:path'
import { env } from 'node:process'
import { type BlobDriver, readStoreUrl, withUrlParameters } from '@tensorhub/core'
import { gcs } from './driver.ts'
import { type GcsUpload, isGoogle } from './options.ts'

const FORM = {
  scheme: 'gcs',
  example: 'gs://bucket/prefix?projectId=…',
  parameters: {
    endpoint: 'text',
    keyFile: 'text',
    parallel: 'number',
    partSize: 'number',
    probe: 'flag',
    projectId: 'text',
    timeout: 'number',
    upload: 'text',
  },
} as const

/**
 * `gs://bucket/prefix?endpoint=&keyFile=&projectId=&timeout=&partSize=&parallel=&upload=&probe=`; all parameters may be left out, and mean what the options of the same name
 * do. Credentials are never in the URL: the application-default ones, or those of the file that `keyFile` names.
 *
 * @throws INVALID
 */
export function blobsFromUrl(url: string): BlobDriver {
  const { name: bucket, prefix, parameters } = readStoreUrl(url, FORM)
  const { upload, ...others } = parameters
  return gcs({
    bucket,
    ...(prefix === undefined ? {} : { prefix }),
    ...others,
    // What is none of them is refused with the other options.
    ...(upload === undefined ? {} : { upload: upload as GcsUpload }),
  })
}

/** The URL with the endpoint, the project and the key file that this process's environment names. What is found without it (a login, a machine's account) stays to be found. */
export async function urlToHandOver(url: string): Promise<string> {
  const { parameters } = readStoreUrl(url, FORM)
  const emulator = env['STORAGE_EMULATOR_HOST']
  const endpoint = parameters.endpoint ?? (emulator && (/^https?:/i.test(emulator) ? emulator : `http://${emulator}`))
  // An endpoint of another's is only signed in to with a key that was given.
  const others = endpoint ? !isGoogle(URL.parse(endpoint)?.hostname ?? '') : false
  const keyFile = parameters.keyFile ?? (others ? undefined : env['GOOGLE_APPLICATION_CREDENTIALS'])
  const projectId = parameters.projectId ?? env['GOOGLE_CLOUD_PROJECT']
  return withUrlParameters(url, {
    ...(endpoint ? { endpoint } : {}),
    ...(keyFile ? { keyFile: resolve(keyFile) } : {}),
    ...(projectId ? { projectId } : {}),
    // This process has tried it out already.
    probe: 'false',
  })
}
