export { type MemoryBytes, memoryBlobs } from './blob-driver.ts'
export { blobsFromUrl, indexFromUrl } from './from-url.ts'
export { type MemoryDocuments, memoryIndex } from './index-driver.ts'
