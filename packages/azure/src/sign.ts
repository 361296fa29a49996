import {
  BlobSASPermissions,
  generateBlobSASQueryParameters,
  type HttpAuthorization,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { type Call, type ErrorPlace, HubError } from '@tensorhub/core'
import { blobOf, type Store } from './store.ts'

/** A user delegation key lives no longer. https://learn.microsoft.com/rest/api/storageservices/get-user-delegation-key */
const DELEGATION_MAX = 7 * 24 * 3600

/**
 * A URL with a service SAS, signed by the account's key, or by a user delegation key where the caller signed in.
 * https://learn.microsoft.com/rest/api/storageservices/create-service-sas https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
 */
export async function signedUrl(
  store: Store,
  key: string,
  permissions: 'r' | 'cw',
  expiresIn: number,
  at: ErrorPlace,
  o: Call,
): Promise<URL> {
  const { container, requests, service, where } = store
  const blob = blobOf(store, key)
  const { credential } = container
  const expiresOn = new Date(Date.now() + expiresIn * 1000)
  const values = {
    containerName: where.container,
    blobName: blob.name,
    permissions: BlobSASPermissions.parse(permissions),
    expiresOn,
    ...(blob.url.startsWith('https:') ? { protocol: SASProtocol.Https } : {}),
  }
  const url = new URL(blob.url)
  if (credential instanceof StorageSharedKeyCredential) {
    url.search = generateBlobSASQueryParameters(values, credential).toString()
    return url
  }
  if (expiresIn > DELEGATION_MAX)
    throw new HubError(
      'INVALID',
      `Without an account key a URL can be signed for at most ${DELEGATION_MAX} seconds (7 days).`,
      { at, path: 'expiresIn' },
    )
  // No start: the service's clock may be behind this one.
  const delegated = await requests.repeated(at, o, (abortSignal) =>
    service.getUserDelegationKey(new Date(Date.now() - 15 * 60_000), expiresOn, { abortSignal }),
  )
  url.search = generateBlobSASQueryParameters(values, delegated, where.account).toString()
  return url
}

/** How the service may read a source on the caller's behalf: a URL, and for those who signed in their token beside it. */
export interface Source {
  readonly url: string
  readonly sourceAuthorization?: HttpAuthorization
}

const SOURCE_SECONDS = 3600
const SCOPE = 'https://storage.azure.com/.default'

export async function sourceOf(store: Store, key: string, at: ErrorPlace, o: Call): Promise<Source> {
  const { credential } = store.container
  if (credential instanceof StorageSharedKeyCredential)
    return { url: (await signedUrl(store, key, 'r', SOURCE_SECONDS, at, o)).href }
  // With a SAS token the URL carries it.
  const { url } = blobOf(store, key)
  if (!('getToken' in credential)) return { url }
  const token = await store.requests.repeated(at, o, (abortSignal) => credential.getToken(SCOPE, { abortSignal }))
  return token === null ? { url } : { url, sourceAuthorization: { scheme: 'Bearer', value: token.token } }
}
