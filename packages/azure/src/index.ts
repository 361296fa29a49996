export { azure } from './driver.ts'
export { blobsFromUrl } from './from-url.ts'
export type { AzureClientOptions, AzureConnectionOptions, AzureOptions, AzureTransferOptions } from './options.ts'
