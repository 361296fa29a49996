import { type BlobDriver, HubError, type IndexDriver, redactUrl } from '@tensorhub/core'
import { type MemoryBytes, memoryBlobs } from './blob-driver.ts'
import { type MemoryDocuments, memoryIndex } from './index-driver.ts'

/** Named stores of this process: `memory:NAME` is the same store wherever it is opened; `memory:` is a new one each time. */
const named = new Map<string, { readonly documents: MemoryDocuments; readonly blobs: MemoryBytes }>()

export function indexFromUrl(url: string): IndexDriver {
  return memoryIndex(storeOf(url)?.documents)
}

export function blobsFromUrl(url: string): BlobDriver {
  return memoryBlobs(storeOf(url)?.blobs)
}

function storeOf(url: string): { readonly documents: MemoryDocuments; readonly blobs: MemoryBytes } | undefined {
  const name = /^memory:([A-Za-z0-9_-]*)$/.exec(url)?.[1]
  if (name === undefined)
    throw new HubError(
      'INVALID',
      `'${redactUrl(url)}' is no memory URL: 'memory:' or 'memory:NAME' with letters, digits, _ and -.`,
      { at: { scheme: 'memory', op: 'open' } },
    )
  if (name === '') return undefined
  let store = named.get(name)
  if (store === undefined) {
    store = { documents: new Map(), blobs: new Map() }
    named.set(name, store)
  }
  return store
}
