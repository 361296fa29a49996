/**
 * Everything needed to open the same hub elsewhere, as JSON. URLs may hold credentials: it travels to a child process over standard input,
 * never by environment or arguments, and is never printed.
 */
export interface ConnectionSpec {
  /** The folder of an embedded hub; then `index` and `blobs` are absent. */
  readonly folder?: string
  readonly index?: string
  readonly blobs?: string
  readonly projectName: string
  readonly workDir: string
}
