export { fs } from './driver.ts'
export { blobsFromUrl } from './from-url.ts'
export type { FsOptions } from './options.ts'
