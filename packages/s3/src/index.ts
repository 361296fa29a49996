export { s3 } from './driver.ts'
export { blobsFromUrl, urlToHandOver } from './from-url.ts'
export type { S3Credentials, S3Options } from './options.ts'
