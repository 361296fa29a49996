import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Registry } from './registry.ts'

const BOOTSTRAP = fileURLToPath(new URL('../../tools/bootstrap/run.cjs', import.meta.url))
const { nodePackage, pnpmPackage } = createRequire(import.meta.url)('../../tools/bootstrap/packages.cjs') as {
  nodePackage(platform: string, arch: string): Wanted
  pnpmPackage(platform: string, arch: string, report: unknown): Wanted
}

interface Wanted {
  readonly name: string
  readonly version: string
  readonly binary: string
}

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A run of the bootstrap in a process group of its own. */
export class Run {
  readonly #child: ChildProcess
  readonly ended: Promise<Ended>
  stdout = ''
  stderr = ''

  constructor(child: ChildProcess) {
    this.#child = child
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text
    })
    this.ended = once(child, 'close').then(([code]) => ({ code, stdout: this.stdout, stderr: this.stderr }))
  }

  /** To the bootstrap alone. */
  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  /** The whole group at once, npm included. */
  killAll(): void {
    process.kill(-(this.#child.pid as number), 'SIGKILL')
  }
}

/**
 * A repository of almost nothing, a home and a registry. Node and pnpm in the registry are stand-ins: the one passes on to this Node, the other
 * notes its calls in `pnpm.log` and makes what shows that packages are installed.
 */
export class Sandbox {
  readonly folder: string
  readonly registry = new Registry()
  readonly names: { readonly node: string; readonly pnpm: string }

  private constructor(folder: string, names: { node: string; pnpm: string }) {
    this.folder = folder
    this.names = names
  }

  static async make(): Promise<Sandbox> {
    const folder = await mkdtemp(join(tmpdir(), 'tensorhub bootstrap '))
    const node = nodePackage(process.platform, process.arch)
    const pnpm = pnpmPackage(process.platform, process.arch, process.report)
    const sandbox = new Sandbox(folder, { node: node.name, pnpm: pnpm.name })
    await mkdir(join(folder, 'home'))
    await mkdir(join(folder, 'repository'))
    await writeFile(join(folder, 'repository', 'package.json'), '{"name":"repository"}\n')
    await writeFile(join(folder, 'repository', 'pnpm-lock.yaml'), 'lockfileVersion: 9\n')
    await writeFile(join(folder, 'npmrc'), '')
    const { registry } = sandbox
    await registry.listen()
    const packages = join(folder, 'packages')
    await registry.add(packages, node.name, node.version, node.binary, `BY=toolchain exec '${process.execPath}' "$@"`)
    const installs =
      'echo "$*" >> pnpm.log; [ -e fail ] && exit 3; mkdir -p node_modules && : > node_modules/.modules.yaml'
    await registry.add(packages, pnpm.name, pnpm.version, pnpm.binary, installs)
    return sandbox
  }

  get repository(): string {
    return join(this.folder, 'repository')
  }

  /** Starts the bootstrap on a Node that says it has this version. */
  start(version: string, ...args: string[]): Run {
    const pretend = `data:text/javascript,Object.defineProperty(process.versions,'node',{value:'${version}'})`
    const child = spawn(process.execPath, ['--import', pretend, BOOTSTRAP, ...args], {
      cwd: this.folder,
      detached: true,
      env: {
        PATH: process.env.PATH,
        HOME: join(this.folder, 'home'),
        TENSORHUB_BOOTSTRAP_ROOT: this.repository,
        npm_config_registry: this.registry.url,
        npm_config_cache: join(this.folder, 'npm-cache'),
        npm_config_userconfig: join(this.folder, 'npmrc'),
        npm_config_fetch_retries: '0',
        npm_config_update_notifier: 'false',
      },
    })
    return new Run(child)
  }

  run(version: string, ...args: string[]): Promise<Ended> {
    return this.start(version, ...args).ended
  }

  /** Folders of the toolchain, without the lock. */
  async toolchain(): Promise<string[]> {
    const names = await readdir(join(this.repository, '.toolchain'))
    return names.filter((name) => !name.startsWith('lock.')).sort()
  }

  async installs(): Promise<number> {
    const log = await readFile(join(this.repository, 'pnpm.log'), 'utf8').catch(() => '')
    return log.split('\n').filter((line) => line.startsWith('install --frozen-lockfile')).length
  }

  async remove(): Promise<void> {
    await this.registry.close()
    await rm(this.folder, { recursive: true, force: true, maxRetries: 10 })
  }
}
