import { fileURLToPath } from 'node:url'
import { oneFileBlobs } from './blobs.ts'
import { oneFileIndex } from './index-driver.ts'

export { oneFileBlobs, oneFileIndex }

const pathOf = (url: string) => fileURLToPath(url.replace(/^onefile:/i, 'file:'))
/** Both layers of `onefile:///folder/experiment.hub`. */
export const indexFromUrl = (url: string) => oneFileIndex(pathOf(url))
export const blobsFromUrl = (url: string) => oneFileBlobs(pathOf(url))
