import type { BlobDriver } from './blob-driver.ts'
import type { IndexDriver } from './index-driver.ts'

/** What an adapter package exports so that URLs can name it. A layer it does not have: leave the function out. */
export interface AdapterModule {
  /** Makes the index driver of a URL. @throws INVALID for parameters it does not know. */
  indexFromUrl?(url: string): IndexDriver
  /** Makes the blob driver of a URL. @throws INVALID for parameters it does not know. */
  blobsFromUrl?(url: string): BlobDriver
}
