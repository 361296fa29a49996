import type { BlobDriver } from './blob-driver.ts'
import type { IndexDriver } from './index-driver.ts'

/** What an adapter package exports so that URLs can name it. A layer it does not have: leave the function out. */
export interface AdapterModule {
  /** Makes the index driver of a URL. @throws INVALID for parameters it does not know. */
  indexFromUrl?(url: string): IndexDriver
  /** Makes the blob driver of a URL. @throws INVALID for parameters it does not know. */
  blobsFromUrl?(url: string): BlobDriver
  /**
   * The URL with everything written into it that opening it takes from this process's environment (credentials, an endpoint), so that it opens the same store in
   * a process that has none of it. A task's script runs in such a process. What it gives holds secrets: it is handed over in memory, and never shown.
   * Absent: its URLs need nothing more.
   */
  urlToHandOver?(url: string): Promise<string>
}
