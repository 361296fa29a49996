export { gcs } from './driver.ts'
export { blobsFromUrl, urlToHandOver } from './from-url.ts'
export type { GcsCredentials, GcsOptions, GcsUpload } from './options.ts'
