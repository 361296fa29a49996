/** Options of `fs()`. */
export interface FsOptions {
  /** The folder; made when missing. */
  readonly folder: string
}
