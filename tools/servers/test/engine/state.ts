import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** What an image of the stand-in runs: a program of this machine. */
export interface StandInImage {
  readonly command: readonly [string, ...string[]]
  /** `mongod`: what follows are mongod's arguments, and the command is a SecantusDB. */
  readonly takes?: 'mongod'
}

export interface StandInConfig {
  /** On this machine. */
  readonly images: Readonly<Record<string, StandInImage>>
  /** What a pull gets. */
  readonly registry: Readonly<Record<string, StandInImage>>
  /** What every command says before it fails. */
  readonly fails?: string
  /** Creating a container takes so long, ms. */
  readonly createTakes?: number
}

export interface StandInContainer {
  readonly image: string
  readonly label: string
  readonly port: number
  readonly volume: string
  readonly mountedAt: string
  readonly env: Readonly<Record<string, string>>
  readonly args: readonly string[]
}

/** What a stand-in engine knows, in files, since each of its commands is a process. */
export class StandInState {
  readonly root: string
  constructor(root: string) {
    this.root = root
    for (const folder of ['containers', 'volumes', 'pids', 'exits']) mkdirSync(join(root, folder), { recursive: true })
  }
  path(...parts: string[]) {
    return join(this.root, ...parts)
  }
  get config(): StandInConfig {
    return this.read('config.json')
  }
  read<T>(...parts: string[]): T {
    return JSON.parse(readFileSync(this.path(...parts), 'utf8')) as T
  }
  write(what: unknown, ...parts: string[]) {
    const file = this.path(...parts)
    writeFileSync(`${file}.new`, JSON.stringify(what))
    renameSync(`${file}.new`, file)
  }
  list(folder: 'containers' | 'volumes'): string[] {
    return readdirSync(this.path(folder)).filter((name) => !name.endsWith('.new'))
  }
  /** The process that a container is: its shim, which ends the server and itself. */
  pidOf(id: string): number | undefined {
    return existsSync(this.path('pids', id)) ? this.read<number>('pids', id) : undefined
  }
  get calls(): string[][] {
    const file = this.path('calls')
    if (!existsSync(file)) return []
    return readFileSync(file, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as string[])
  }
}
