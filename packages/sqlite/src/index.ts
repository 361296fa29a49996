export { sqlite } from './driver.ts'
export { indexFromUrl } from './from-url.ts'
export type { SqliteOptions } from './options.ts'
