/** Options every call takes. */
export interface Call {
  readonly signal?: AbortSignal
}

/** What index and blob drivers share. A driver is small: whatever two drivers could get wrong differently is core's. */
export interface Driver<Cap> {
  /** `'sqlite'`, `'fs'`, `'s3'` …; used in errors. */
  readonly scheme: string
  /** The most the driver offers; fixed at construction. */
  readonly can: Readonly<Cap>
  /** Called once, lazily, by core, which queues callers meanwhile. May return a narrower record: the effective one. */
  open?(call: Call): Promise<Readonly<Cap> | undefined>
  /** Closes only what the driver itself created. */
  close?(): Promise<void>
  /** The escape hatch: the SDK's client, the database handle, the folder's path. */
  native?(): unknown
}
