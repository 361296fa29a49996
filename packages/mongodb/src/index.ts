export { gridfs } from './gridfs/driver.ts'
export { blobsFromUrl } from './gridfs/from-url.ts'
export type { GridFsOptions } from './gridfs/options.ts'
