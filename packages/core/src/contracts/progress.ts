/** How far a long transfer is. Counts only rise within a call. */
export interface Progress {
  readonly phase: 'save' | 'load' | 'check' | 'collect'
  /** Bytes done so far, before compression. */
  readonly bytes: number
  /** All bytes, where known. */
  readonly total?: number
}
