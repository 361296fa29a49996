/** One server that can be had from a package registry: what it is called, what it takes, how it is built. */
export interface Recipe {
  /** Program and version: `versitygw 1.8.0`. */
  readonly name: string
  /** Its folder in the cache: the version is part of it, so that two checkouts can want two versions. */
  readonly folder: string
  /** A file in that folder; it is there only when the whole install is. */
  readonly program: string
  /** What the program is called where a person installed it; left out when it can't be run from PATH. */
  readonly onPath?: string
  /** The programs that the install takes. */
  readonly tools: readonly string[]
  /** What the install costs when nothing is cached. */
  readonly cost: string
  /** The command that a person would type. */
  readonly command: string
  /** The command line that starts it, without its arguments; the program itself when left out. */
  start?(folder: string, program: string): readonly string[]
  /** Builds it in `folder`, which is empty and is moved afterwards. */
  build(folder: string, run: Run): void
}

/** Runs a program to its end. @throws with the end of its output when it fails */
export type Run = (program: string, args: readonly string[], env?: Readonly<Record<string, string>>) => void
