import {
  type BlobDriver,
  BlobStore,
  type IndexDriver,
  IndexStore,
  openBlobsUrl,
  openIndexUrl,
  urlToHandOver,
} from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { sqlite } from '@tensorhub/sqlite'
import type { ConnectionSpec } from './connection-spec.ts'
import type { EmbeddedFolder } from './embedded-folder.ts'
import { laterBlobs, laterIndex } from './later-driver.ts'
import { importOptional } from './optional-package.ts'

export interface Stores {
  readonly index: IndexStore
  readonly blobs: BlobStore
}

/** The stores of an embedded hub: SQLite and files. */
export function embeddedStores(folder: EmbeddedFolder): Stores {
  return { index: new IndexStore(sqlite({ file: folder.index })), blobs: new BlobStore(fs({ folder: folder.blobs })) }
}

/** The stores named by URLs or given as driver objects. Adapters load when a URL asks for them. */
export async function namedStores(index: string | IndexDriver, blobs: string | BlobDriver): Promise<Stores> {
  return {
    index: new IndexStore(typeof index === 'string' ? await openIndexUrl(index, { load: importOptional }) : index),
    blobs: new BlobStore(typeof blobs === 'string' ? await openBlobsUrl(blobs, { load: importOptional }) : blobs),
  }
}

/** The stores of two URLs whose adapters are imported at first use. */
export function laterStores(index: string, blobs: string): Stores {
  const scheme = (url: string) => url.slice(0, url.indexOf(':'))
  return {
    index: new IndexStore(laterIndex(scheme(index), () => openIndexUrl(index, { load: importOptional }))),
    blobs: new BlobStore(laterBlobs(scheme(blobs), () => openBlobsUrl(blobs, { load: importOptional }))),
  }
}

/** The connection for a process that has nothing of this one's environment: URLs carry their credentials. */
export async function toHandOver(connection: ConnectionSpec): Promise<ConnectionSpec> {
  const { index, blobs } = connection
  if (index === undefined || blobs === undefined) return connection
  const [newIndex, newBlobs] = await Promise.all(
    [index, blobs].map((url) => urlToHandOver(url, { load: importOptional })),
  )
  return { ...connection, index: newIndex as string, blobs: newBlobs as string }
}
