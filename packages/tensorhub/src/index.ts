export type { CheckReport, GcReport, Manifest, Problem, Progress, Tensor } from '@tensorhub/content'
export {
  type BlobDriver,
  type Doc,
  type ErrorCode,
  eq,
  type Filter,
  HubError,
  type HubUri,
  type IndexDriver,
  type IndexEvent,
  isHubError,
  type ModelCodec,
  type OpenFilter,
  parseHubUri,
  parseQuery,
  path,
  printHubUri,
  printQuery,
  type Query,
  queryId,
  type SortInput,
  type Value,
} from '@tensorhub/core'
export type { CommonOptions, ConnectOptions, HubConfig, OriginalOptions, StoreOptions } from './connect/options.ts'
export type { CopyOptions, CopyProgress, CopyReceipt } from './copy/options.ts'
export type { ContentRecord, DatasetRecord, HubRecord, LogRecord, ModelRecord } from './documents/record.ts'
export { type CheckOptions, type GcOptions, type ModelIo, TensorHub } from './hub.ts'
export type { Informed, ModelInfo } from './models/info.ts'
export type { FilterInput, FindOptions } from './namespaces/arguments.ts'
export type { DeleteReceipt, TransferOptions } from './namespaces/content-namespace.ts'
export { Datasets } from './namespaces/datasets.ts'
export { Handle } from './namespaces/handle.ts'
export { Logs } from './namespaces/logs.ts'
export { Models } from './namespaces/models.ts'
export type { SortOptions, TagChange } from './namespaces/namespace.ts'
export { RecordCursor } from './namespaces/record-cursor.ts'
export {
  type RunTopOptions,
  type TaskCounts,
  Tasks,
  type WaitOptions,
  type WaitOutcome,
  type WaitState,
} from './namespaces/tasks.ts'
export type { FilterKeywords, FindKeywords, Keywords, NamedArguments, SaveKeywords } from './original/keywords.ts'
export type { Found, FoundModel } from './original/original-api.ts'
export type { TaskSpec } from './tasks/create-task.ts'
export type { TaskError, TaskRecord, TaskScript, TaskStatus } from './tasks/document.ts'
export type { TaskOutcome } from './tasks/run-top-task.ts'
export type { ScriptPolicy, TaskHandler } from './tasks/script-policy.ts'
export type { Task } from './tasks/task.ts'
