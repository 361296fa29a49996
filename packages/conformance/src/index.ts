export { ConformanceError } from './expect.ts'
export type { BlobHarness, Harness, IndexHarness } from './harness.ts'
export { indexConformance } from './index-suite/suite.ts'
export type { Runner } from './runner.ts'
