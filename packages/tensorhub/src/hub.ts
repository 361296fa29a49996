import { type CheckReport, ContentStore, type GcReport, type Progress } from '@tensorhub/content'
import { type BlobStore, type Call, HubError, type IndexStore, type StoreClock, throwIfAborted } from '@tensorhub/core'
import { BackgroundCollection } from './collection/background.ts'
import type { ConnectionSpec } from './connect/connection-spec.ts'
import { importOptional } from './connect/optional-package.ts'
import type { CommonOptions, ConnectOptions } from './connect/options.ts'
import type { HubContext } from './context.ts'
import type { CopyEnd } from './copy/copy.ts'
import { type CopyOptions, type CopyReceipt, checkCopyOptions, checkDestination } from './copy/options.ts'
import { CONTENT_COLLECTIONS } from './documents/collections.ts'
import type { Stamps } from './documents/stamps.ts'
import { checkFlag, checkOptions } from './namespaces/arguments.ts'
import { Datasets } from './namespaces/datasets.ts'
import { Logs } from './namespaces/logs.ts'
import { Models } from './namespaces/models.ts'
import { OpenStreams } from './namespaces/open-streams.ts'
import { Tasks } from './namespaces/tasks.ts'
import { OriginalApi } from './original/original-api.ts'

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
  readonly stamps: Stamps
  /** The stores are another hub's, which alone closes them. */
  readonly lent?: true
  /** The original's connection parameters, where they were given. */
  readonly server?: {
    readonly ip: string
    readonly port: number
    readonly dbname: string
    readonly username: string | undefined
  }
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
  readonly onProgress?: (progress: Progress) => void
}

/** Options of `hub.check()`. */
export interface CheckOptions extends Call {
  /** Also read and hash every chunk. Default false: structure only. */
  readonly readData?: boolean
  /** Age in ms from which what an interrupted write left counts as a leftover. Default 24 h, as in `gc()`. */
  readonly grace?: number
  readonly onProgress?: (progress: Progress) => void
}

/**
 * A hub, confined to one project: datasets, models, logs and tasks in an index and a blob store. Made by {@link TensorHub.connect}.
 *
 * Two faces over the same code: the namespaces (`hub.datasets`, `hub.models`, `hub.logs`, `hub.tasks`) and the original `tl.db.TensorHub` API
 * in camelCase. `find*` of the original give `false` when nothing matches; every failure throws a `HubError`.
 */
export class TensorHub extends OriginalApi implements AsyncDisposable {
  readonly projectName: string
  /** The parameters of the original's connection form, where the hub was connected by it; never the password. */
  readonly ip: string | undefined
  readonly port: number | undefined
  readonly dbname: string | undefined
  readonly username: string | undefined
  readonly datasets: Datasets
  readonly models: Models
  readonly logs: Logs
  readonly tasks: Tasks
  readonly #parts: HubParts
  readonly #content: ContentStore
  readonly #background: BackgroundCollection
  readonly #streams = new OpenStreams()
  #closed: Promise<void> | undefined

  /**
   * Opens the hub at a place.
   *
   * @param target A folder (embedded: SQLite and files; made when missing), or a URL (`memory:`, `mongodb://host/db`, `file:///folder`).
   * @throws INVALID, UNSUPPORTED (newer format, adapter not installed), DENIED, UNAVAILABLE: both stores are reached before it resolves.
   */
  static connect(target: string, options?: CommonOptions): Promise<TensorHub>
  // Last, since of several forms the compiler explains the last: so it names an option that is mistyped, and the one that was meant.
  /**
   * Opens the hub that `index` and `blobs` name, or `ip`; without these that of `TENSORHUB_URL`, of `TENSORHUB_INDEX` with `TENSORHUB_BLOBS`, of
   * `tensorhub.config.{ts,mjs,json}`, else `./.tensorhub`.
   *
   * @throws INVALID, UNSUPPORTED (newer format, adapter not installed), DENIED, UNAVAILABLE: both stores are reached before it resolves.
   */
  static connect(options?: ConnectOptions): Promise<TensorHub>
  static async connect(target?: string | ConnectOptions, options?: ConnectOptions): Promise<TensorHub> {
    const { connect } = await import('./connect/connect.ts')
    return new TensorHub(await connect(target, options))
  }

  /** @internal Use {@link TensorHub.connect}. */
  constructor(parts: HubParts) {
    super()
    this.#parts = parts
    this.ip = parts.server?.ip
    this.port = parts.server?.port
    this.dbname = parts.server?.dbname
    this.username = parts.server?.username
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
    this.tasks = new Tasks(context, (task) => new TensorHub({ ...parts, task, collect: false, lent: true }), deleted)
  }

  #context(): HubContext {
    const { clock, stamps, ...parts } = this.#parts
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
      // The monotonic clock stands still while a machine sleeps, so an estimate is not kept for long.
      ready: (call) => (clock.age > 60_000 ? clock.sync(call) : undefined),
      stamp: () => stamps.next(clock.now()),
      streams: this.#streams,
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
    checkOptions(options, ['dryRun', 'grace', 'allowShortGrace', 'onProgress', 'signal'], 'gc')
    for (const name of ['dryRun', 'allowShortGrace'] as const) checkFlag(options?.[name], name, 'gc')
    return this.#content.gc({ ...options, collections: CONTENT_COLLECTIONS })
  }

  /** Checks that every record's chunks are there and whole, with `readData` reads and hashes all of them, and counts what interrupted writes left. Changes nothing. */
  async check(options?: CheckOptions): Promise<CheckReport> {
    this.#assertOpen('check')
    checkOptions(options, ['readData', 'grace', 'onProgress', 'signal'], 'check')
    checkFlag(options?.readData, 'readData', 'check')
    return this.#content.check({ ...options, collections: CONTENT_COLLECTIONS })
  }

  /**
   * Copies this project, or with `projects` others or the whole hub, to another hub, between any two kinds of stores: datasets, models, logs and tasks, each
   * with its `_id` and `time`. May be killed at any moment and called again: only what is new or changed is copied then. Nothing is ever deleted, here or there.
   * Collectors and writers may be at work at both ends. A task that a runner has is left behind and counted; see docs/copy.md.
   *
   * @param destination A folder or URL, options as `connect` takes them (these hubs are closed at the end), or an open hub, which stays open.
   * @throws INVALID (reason SAME_STORE) when both share an index or a blob store; CONFLICT, INTEGRITY for documents that could not be copied, after all
   *   others were; UNSUPPORTED when the destination has a newer format.
   */
  async copyTo(destination: string | ConnectOptions | TensorHub, options?: CopyOptions): Promise<CopyReceipt> {
    this.#assertOpen('copyTo')
    checkCopyOptions(options)
    const at = { scheme: 'hub', op: 'copyTo' }
    // A script sees its own project and no other.
    if (this.#parts.task !== undefined && options?.projects !== undefined)
      throw new HubError('DENIED', 'copyTo: a task copies its own project only; leave out projects.', {
        at,
        path: 'projects',
      })
    throwIfAborted(options?.signal, at)
    if (typeof destination === 'object' && destination !== null && #parts in destination)
      return this.#copyTo(destination, options ?? {})
    checkDestination(destination, this.projectName)
    const call: Call = options?.signal ? { signal: options.signal } : {}
    const own = { projectName: this.projectName, collect: false, ...call }
    const hub =
      typeof destination === 'string'
        ? await TensorHub.connect(destination, own)
        : await TensorHub.connect({ ...destination, ...own })
    try {
      return await this.#copyTo(hub, options ?? {})
    } finally {
      await hub.close()
    }
  }

  async #copyTo(other: TensorHub, options: CopyOptions): Promise<CopyReceipt> {
    other.#assertOpen('copyTo')
    const end = (hub: TensorHub): CopyEnd => ({ ...hub.#parts, content: hub.#content })
    return (await import('./copy/copy.ts')).copyHub(end(this), end(other), this.projectName, options)
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
    await this.#streams.close()
    // A handler that closes its task's hub must not take the stores from under its runner.
    if (this.#parts.lent === true) return
    const results = await Promise.allSettled([this.#parts.index.close(), this.#parts.blobs.close()])
    const failed = results.find((result) => result.status === 'rejected')
    if (failed !== undefined) throw failed.reason
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Project and places, without secrets. */
  override toString(): string {
    return `TensorHub(project '${this.projectName}', ${this.#parts.place})`
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return this.toString()
  }
}
