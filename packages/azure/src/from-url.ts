import { type BlobDriver, readStoreUrl, withUrlParameters } from '@tensorhub/core'
import { secretOf } from './connect.ts'
import { azure } from './driver.ts'
import type { AzureConnectionOptions } from './options.ts'

const FORM = {
  scheme: 'azure',
  example: 'azblob://container/prefix?account=…',
  parameters: {
    account: 'text',
    endpoint: 'text',
    key: 'text',
    sasToken: 'text',
    timeout: 'number',
    partSize: 'number',
    parallel: 'number',
    probe: 'flag',
  },
} as const

/** `azblob://container/prefix?account=…`; further parameters `endpoint key sasToken timeout partSize parallel probe`. @throws INVALID */
export function blobsFromUrl(url: string): BlobDriver {
  return azure(optionsOf(url))
}

/** The URL with the account and the secret that this process's environment names. A sign-in without a secret (a machine's identity, `az login`) stays one. */
export async function urlToHandOver(url: string): Promise<string> {
  // This process has tried it out already.
  return withUrlParameters(url, { ...secretOf(optionsOf(url)), probe: 'false' })
}

function optionsOf(url: string): AzureConnectionOptions {
  const { name: container, prefix, parameters } = readStoreUrl(url, FORM)
  const { key } = parameters
  return {
    container,
    ...(prefix === undefined ? {} : { prefix }),
    ...parameters,
    // A key is base64: a + in it that was not escaped has become a space.
    ...(key === undefined ? {} : { key: key.replaceAll(' ', '+') }),
  }
}
