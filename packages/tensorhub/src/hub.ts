import { type CheckReport, ContentStore, type GcReport, type Progress } from '@tensorhub/content'
import { type BlobStore, type Call, HubError, type IndexStore, type StoreClock } from '@tensorhub/core'
import { monotonicFactory } from 'ulid'
import { BackgroundCollection } from './collection/background.ts'
import type { ConnectionSpec } from './connect/connection-spec.ts'
import { importOptional } from './connect/optional-package.ts'
import type { ConnectOptions } from './connect/options.ts'
import type { HubContext } from './context.ts'
import { CONTENT_COLLECTIONS } from './documents/collections.ts'
import type { DatasetRecord, LogRecord, ModelRecord } from './documents/record.ts'
import { checkOptions } from './namespaces/arguments.ts'
import type { DeleteReceipt } from './namespaces/content-namespace.ts'
import { Datasets } from './namespaces/datasets.ts'
import { Logs } from './namespaces/logs.ts'
import { Models } from './namespaces/models.ts'
import { Tasks } from './namespaces/tasks.ts'
import { filterOf, type Keywords, readArguments, sortOf, transferOf } from './original/keywords.ts'
import { REFUSED, SPEC_KEYS } from './tasks/create-task.ts'
import type { TaskRecord } from './tasks/document.ts'
import type { TaskOutcome } from './tasks/run-top-task.ts'

/** What `connect` has settled; internal to the package. */
export interface HubParts {
  readonly index: IndexStore
  readonly blobs: BlobStore
  readonly clock: StoreClock
  readonly projectName: string
  readonly workDir: string
  readonly embedded: boolean
  readonly connection: ConnectionSpec | undefined
  readonly scripts: HubContext['scripts']
  readonly codecs: HubContext['codecs']
  readonly task: HubContext['task']
  /** Whether this hub frees unused chunks by itself after deletes. */
  readonly collect: boolean
  /** Where the stores are, without secrets. */
  readonly place: string
}

/** What `hub.io` gives: a `tf.io.IOHandler`, in types that need no TensorFlow.js. */
export interface ModelIo {
  save(artifacts: object): Promise<{ modelArtifactsInfo: { dateSaved: Date; modelTopologyType: 'JSON' } }>
  load(): Promise<{ modelTopology?: object; weightData?: ArrayBuffer; format?: string }>
}

/** Options of `hub.gc()`. */
export interface GcOptions extends Call {
  /** Only count. Default false. */
  readonly dryRun?: boolean
  /** Age in ms from which an unnamed blob is free. Default 24 h; below 1 h only with `allowShortGrace`. */
  readonly grace?: number
  readonly allowShortGrace?: boolean
}

/** Options of `hub.check()`. */
export interface CheckOptions extends Call {
  /** Also read and hash every chunk. Default false: structure only. */
  readonly readData?: boolean
  readonly onProgress?: (progress: Progress) => void
}

/**
 * A hub, confined to one project: datasets, models, logs and tasks in an index and a blob store. Made by {@link TensorHub.connect}.
 *
 * Two faces over the same code: the namespaces (`hub.datasets`, `hub.models`, `hub.logs`, `hub.tasks`) and the original `tl.db.TensorHub` API
 * in camelCase. `find*` of the original give `false` when nothing matches; every failure throws a `HubError`.
 */
export class TensorHub implements AsyncDisposable {
  readonly projectName: string
  readonly datasets: Datasets
  readonly models: Models
  readonly logs: Logs
  readonly tasks: Tasks
  readonly #parts: HubParts
  readonly #content: ContentStore
  readonly #background: BackgroundCollection
  #closed: Promise<void> | undefined

  /**
   * Opens a hub.
   *
   * @param target A folder (embedded: SQLite and files; made when missing), or a URL (`memory:`, `mongodb://host/db`, `file:///folder`). Default:
   *   `TENSORHUB_URL`, `TENSORHUB_INDEX` with `TENSORHUB_BLOBS`, `tensorhub.config.{ts,mjs,json}`, else `./.tensorhub`.
   * @throws INVALID, UNSUPPORTED (newer format, adapter not installed), DENIED, UNAVAILABLE: both stores are reached before it resolves.
   */
  static connect(options?: ConnectOptions): Promise<TensorHub>
  static connect(target: string, options?: ConnectOptions): Promise<TensorHub>
  static async connect(target?: string | ConnectOptions, options?: ConnectOptions): Promise<TensorHub> {
    const { connect } = await import('./connect/connect.ts')
    const parts =
      typeof target === 'string' ? await connect(target, options ?? {}) : await connect(undefined, target ?? {})
    return new TensorHub(parts)
  }

  /** @internal Use {@link TensorHub.connect}. */
  constructor(parts: HubParts) {
    this.#parts = parts
    this.projectName = parts.projectName
    this.#content = new ContentStore({ index: parts.index, blobs: parts.blobs })
    this.#background = new BackgroundCollection(parts.index, this.#content, parts.clock)
    const context = this.#context()
    const deleted = () => {
      if (parts.collect) this.#background.afterDelete()
    }
    this.datasets = new Datasets(context, 'datasets', deleted)
    this.models = new Models(context, 'models', deleted)
    this.logs = new Logs(context, 'logs')
    this.tasks = new Tasks(context, (task) => new TensorHub({ ...parts, task, collect: false }))
  }

  #context(): HubContext {
    const { clock, ...parts } = this.#parts
    const ulid = monotonicFactory()
    let last = 0
    const stamp = () => {
      // The estimate of the store's time may step back when it is renewed; order within this process must not.
      last = Math.max(last, clock.now().getTime())
      return { _id: ulid(last), time: new Date(last) }
    }
    return {
      index: parts.index,
      content: this.#content,
      clock,
      projectName: parts.projectName,
      workDir: parts.workDir,
      embedded: parts.embedded,
      connection: parts.connection,
      scripts: parts.scripts,
      codecs: parts.codecs,
      task: parts.task,
      ready: async (call) => {
        // The monotonic clock stands still while a machine sleeps, so an estimate is not kept for long.
        if (clock.age > 60_000) await clock.sync(call)
      },
      newId: () => stamp()._id,
      stamp,
      changes: new EventTarget(),
      assertOpen: (op) => this.#assertOpen(op),
    }
  }

  #assertOpen(op: string): void {
    if (this.#closed !== undefined)
      throw new HubError('CLOSED', `${op}: this hub is closed; connect again.`, { at: { scheme: 'hub', op } })
  }

  /** The index's native handle (SQLite database, MongoDB client), as the original's `db`. */
  get db(): unknown {
    return this.#parts.index.driver.native?.()
  }

  /** Frees chunks no record names any more (tasks.md §8.3); safe beside writers. An embedded hub does so by itself after deletes. */
  async gc(options?: GcOptions): Promise<GcReport> {
    this.#assertOpen('gc')
    checkOptions(options, ['dryRun', 'grace', 'allowShortGrace', 'signal'], 'gc')
    return this.#content.gc({ ...options, collections: CONTENT_COLLECTIONS })
  }

  /** Checks that every record's chunks are there and whole; with `readData` reads and hashes all of them. Changes nothing. */
  async check(options?: CheckOptions): Promise<CheckReport> {
    this.#assertOpen('check')
    checkOptions(options, ['readData', 'onProgress', 'signal'], 'check')
    return this.#content.check({ ...options, collections: CONTENT_COLLECTIONS })
  }

  /**
   * A TensorFlow.js IOHandler over a query: `await model.save(hub.io('mlp'))`, `await tf.loadLayersModel(hub.io({ modelName: 'mlp', sort: { accuracy:
   * -1 } }))`. Needs @tensorhub/tfjs, which is loaded when the handler is used.
   */
  io(query: string | Readonly<Record<string, unknown>>): ModelIo {
    this.#assertOpen('io')
    const handler = async () => {
      const module = (await importOptional('@tensorhub/tfjs', 'hub.io')) as {
        io: (hub: TensorHub, query: unknown) => ModelIo
      }
      return module.io(this, query)
    }
    return {
      save: async (artifacts) => (await handler()).save(artifacts),
      load: async () => (await handler()).load(),
    }
  }

  /** Closes the stores this hub opened. Later calls fail with CLOSED; closing twice is harmless. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.tasks.close()
    await this.#background.close()
    const results = await Promise.allSettled([this.#parts.index.close(), this.#parts.blobs.close()])
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Project and places, without secrets. */
  toString(): string {
    return `TensorHub(project '${this.projectName}', ${this.#parts.place})`
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }

  // ── The original API ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** `saveDataset(value, 'mnist', { version: '1.0' })` or `saveDataset(value, { datasetName: 'mnist' })`. @returns the record. */
  async saveDataset(
    dataset: unknown,
    ...args: [name: string, tags?: Keywords] | [tags: Keywords & { datasetName: string }]
  ): Promise<DatasetRecord> {
    const { name, tags, options } = readArguments(
      { op: 'saveDataset', name: 'datasetName', options: ['signal', 'onProgress'] },
      args,
    )
    return this.datasets.save(name as string, dataset, tags, transferOf(options))
  }

  /** The value of the newest (or first by `sort`) dataset that matches, or false. */
  async findTopDataset(...args: FindArguments): Promise<unknown> {
    const { name, tags, options } = readArguments({ op: 'findTopDataset', name: 'datasetName', options: FIND }, args)
    const handle = await this.datasets.open(filterOf('dataset_name', name, tags), sortOf(options))
    return handle === undefined ? false : handle.load(transferOf(options))
  }

  /** Every matching dataset's value, oldest first unless sorted, or false. */
  async findDatasets(...args: FindArguments): Promise<unknown[] | false> {
    const { name, tags, options } = readArguments({ op: 'findDatasets', name: 'datasetName', options: FIND }, args)
    const values: unknown[] = []
    for await (const record of this.datasets.find(filterOf('dataset_name', name, tags), sortOf(options))) {
      values.push(await this.datasets.handle(record).load(transferOf(options)))
    }
    return values.length === 0 ? false : values
  }

  /** Deletes the matching datasets; without arguments all of the project. */
  async deleteDatasets(...args: FindArguments): Promise<DeleteReceipt> {
    const { name, tags, options } = readArguments(
      { op: 'deleteDatasets', name: 'datasetName', options: ['signal'] },
      args,
    )
    return this.datasets.delete(filterOf('dataset_name', name, tags), transferOf(options))
  }

  /** `saveModel(model, { modelName: 'mlp', accuracy: 0.8 })` or `saveModel(model, 'mlp', { … })`; without a name: `'model'`. @returns the record. */
  async saveModel(model: unknown, ...args: FindArguments): Promise<ModelRecord> {
    const { name, tags, options } = readArguments(
      { op: 'saveModel', name: 'modelName', options: ['signal', 'onProgress'] },
      args,
    )
    return this.models.save(name ?? 'model', model, tags, transferOf(options))
  }

  /**
   * The newest (or first by `sort`) model that matches, live, or false. `model._accuracy` and `model.info.accuracy` carry its tags. `sess` of the
   * original's TensorFlow 1 days is accepted and has no meaning.
   */
  async findTopModel(...args: FindArguments): Promise<unknown> {
    const { name, tags, options } = readArguments(
      { op: 'findTopModel', name: 'modelName', options: [...FIND, 'sess'] },
      args,
    )
    const handle = await this.models.open(filterOf('model_name', name, tags), sortOf(options))
    return handle === undefined ? false : handle.load(transferOf(options))
  }

  /** Deletes the matching models; without arguments all of the project. */
  async deleteModel(...args: FindArguments): Promise<DeleteReceipt> {
    const { name, tags, options } = readArguments({ op: 'deleteModel', name: 'modelName', options: ['signal'] }, args)
    return this.models.delete(filterOf('model_name', name, tags), transferOf(options))
  }

  saveTrainingLog(tags?: Keywords): Promise<LogRecord> {
    return this.#saveLog('training', 'saveTrainingLog', tags)
  }
  saveValidationLog(tags?: Keywords): Promise<LogRecord> {
    return this.#saveLog('validation', 'saveValidationLog', tags)
  }
  saveTestingLog(tags?: Keywords): Promise<LogRecord> {
    return this.#saveLog('testing', 'saveTestingLog', tags)
  }
  /** The matching training logs, oldest first unless sorted; an empty array when none matches. */
  findTrainingLogs(filter?: Keywords): Promise<LogRecord[]> {
    return this.#findLogs('training', 'findTrainingLogs', filter)
  }
  findValidationLogs(filter?: Keywords): Promise<LogRecord[]> {
    return this.#findLogs('validation', 'findValidationLogs', filter)
  }
  findTestingLogs(filter?: Keywords): Promise<LogRecord[]> {
    return this.#findLogs('testing', 'findTestingLogs', filter)
  }
  /** Deletes the matching training logs; without arguments all of the project. */
  deleteTrainingLog(filter?: Keywords): Promise<{ documents: number }> {
    return this.#deleteLogs('training', 'deleteTrainingLog', filter)
  }
  deleteValidationLog(filter?: Keywords): Promise<{ documents: number }> {
    return this.#deleteLogs('validation', 'deleteValidationLog', filter)
  }
  deleteTestingLog(filter?: Keywords): Promise<{ documents: number }> {
    return this.#deleteLogs('testing', 'deleteTestingLog', filter)
  }

  async #saveLog(kind: string, op: string, tags: Keywords | undefined): Promise<LogRecord> {
    const read = readArguments({ op, name: '', options: ['signal'] }, [tags])
    return this.logs.save(kind, read.tags, transferOf(read.options))
  }

  async #findLogs(kind: string, op: string, filter: Keywords | undefined): Promise<LogRecord[]> {
    const read = readArguments({ op, name: '', options: ['signal', 'sort'] }, [filter])
    return this.logs.find(filterOf('kind', kind, read.tags), sortOf(read.options)).toArray()
  }

  async #deleteLogs(kind: string, op: string, filter: Keywords | undefined): Promise<{ documents: number }> {
    const read = readArguments({ op, name: '', options: ['signal'] }, [filter])
    return this.logs.delete(filterOf('kind', kind, read.tags), transferOf(read.options))
  }

  /**
   * `createTask('mnist', 'task_script.ts', { hyperParameters, savedResultKeys, description: '800-800' })`, or all in one object with `taskName` and
   * `script`. Everything that is no option is a tag. @returns the record.
   */
  async createTask(
    ...args:
      | [name: string, script: string, keywords?: Keywords]
      | [keywords: Keywords & { taskName: string; script: string }]
  ): Promise<TaskRecord> {
    const positional = typeof args[0] === 'string' || args[0] === undefined || args[0] === null
    const keywords = (positional ? args[2] : args[0]) as Keywords | undefined
    const given = positional ? { taskName: args[0], script: args[1], ...keywords } : { ...keywords }
    const { taskName, script, signal, ...rest } = given as Record<string, unknown>
    const spec: Record<string, unknown> = {}
    const tags: Record<string, unknown> = {}
    for (const [key, value] of Object.entries(rest)) {
      const isOption = (SPEC_KEYS as readonly string[]).includes(key) || (REFUSED as readonly string[]).includes(key)
      ;(isOption ? spec : tags)[key] = value
    }
    return this.tasks.create(
      taskName as string,
      script as string,
      spec,
      tags,
      signal === undefined ? {} : { signal: signal as AbortSignal },
    )
  }

  /** Runs the first due task: `runTopTask('mnist', { sort: [['time', -1]] })`. False when none is due; else its outcome, also of a failed attempt. */
  async runTopTask(...args: FindArguments): Promise<TaskOutcome | false> {
    const { name, tags, options } = readArguments(
      { op: 'runTopTask', name: 'taskName', options: ['sort', 'signal', 'scripts', 'onOutput'] },
      args,
    )
    return this.tasks.runTop(filterOf('task_name', name, tags), options)
  }
  runTask(...args: FindArguments): Promise<TaskOutcome | false> {
    return this.runTopTask(...args)
  }

  /** True while any matching task is blocked, pending or running. (The original's docstring said the opposite; its tutorial used it so.) */
  async checkUnfinishedTask(...args: FindArguments): Promise<boolean> {
    const { name, tags, options } = readArguments(
      { op: 'checkUnfinishedTask', name: 'taskName', options: ['signal'] },
      args,
    )
    return (await this.tasks.unfinished(filterOf('task_name', name, tags), transferOf(options))) > 0
  }

  /** Deletes matching tasks, running ones after they were cancelled; without arguments all of the project. */
  async deleteTasks(...args: FindArguments): Promise<{ documents: number }> {
    const { name, tags, options } = readArguments({ op: 'deleteTasks', name: 'taskName', options: ['signal'] }, args)
    return this.tasks.delete(filterOf('task_name', name, tags), transferOf(options))
  }

  /** The tutorial's older names of the same methods. */
  findDataset(...args: FindArguments): Promise<unknown> {
    return this.findTopDataset(...args)
  }
  findAllDatasets(...args: FindArguments): Promise<unknown[] | false> {
    return this.findDatasets(...args)
  }
  findModel(...args: FindArguments): Promise<unknown> {
    return this.findTopModel(...args)
  }
}

/** `(name?, keywords?)` or `(keywords?)`; a null name means any. */
export type FindArguments = [name: string | null, keywords?: Keywords] | [keywords?: Keywords]

const FIND = ['sort', 'signal', 'onProgress']
