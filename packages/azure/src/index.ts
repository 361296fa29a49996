export { azure } from './driver.ts'
export { blobsFromUrl, urlToHandOver } from './from-url.ts'
export type { AzureClientOptions, AzureConnectionOptions, AzureOptions, AzureTransferOptions } from './options.ts'
