import { Storage, type StorageOptions } from '@google-cloud/storage'

/** A client that takes a server here for Google's own: signed in, read by the XML API. */
export function likeGoogle(endpoint: string, token = 'token'): Storage {
  const authClient = { getRequestHeaders: async () => new Headers({ authorization: `Bearer ${token}` }) }
  const client = new Storage({ apiEndpoint: endpoint, projectId: 'p', authClient } as unknown as StorageOptions)
  client.customEndpoint = false
  return client
}
