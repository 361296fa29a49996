import { execFile } from 'node:child_process'
import { onPath } from '../install/on-path.ts'
import { type Image, withRegistry } from './images.ts'

/** A program that runs containers and takes Docker's command line. */
export interface Engine {
  readonly name: 'docker' | 'podman'
  /** Its full path. */
  readonly program: string
}

const ENGINES = ['docker', 'podman'] as const
const ANSWERS_WITHIN_MS = 30_000
const PULLS_WITHIN_MS = 30 * 60_000
const SAY_EVERY_MS = 60_000

/**
 * Runs one command of an engine to its end.
 *
 * @returns what it printed, trimmed
 * @throws with the end of what it said when it fails, or does not end within `withinMs` (10 min)
 */
export function tell(
  { name, program }: Engine,
  args: readonly string[],
  o: { readonly withinMs?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<string> {
  const { withinMs = 10 * 60_000, env = {} } = o
  return new Promise((resolve, reject) => {
    execFile(
      program,
      args,
      { env: { ...process.env, ...env }, timeout: withinMs, killSignal: 'SIGKILL', maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout.trim())
        const said = stderr.trim().split('\n').slice(-5).join('\n')
        const what = error.killed ? `no answer within ${withinMs / 1000} s` : said || `it ended with ${error.code}`
        reject(new Error(`${name} ${args[0]}: ${what}`))
      },
    ).stdin?.end()
  })
}

/**
 * The first engine on PATH that can be asked which containers there are: a client alone, without its daemon or machine, can't.
 *
 * @returns the engine, or why there is none
 */
export async function findEngine(o: { readonly withinMs?: number } = {}): Promise<Engine | { readonly none: string }> {
  const { withinMs = ANSWERS_WITHIN_MS } = o
  const reasons: string[] = []
  for (const name of ENGINES) {
    const program = onPath(name)
    if (program === undefined) continue
    const engine = { name, program }
    try {
      await tell(engine, ['ps', '--quiet'], { withinMs })
      return engine
    } catch (error) {
      reasons.push(`${name} is on PATH but does not answer (${(error as Error).message})`)
    }
  }
  return { none: reasons.join(', and ') || `no container engine (${ENGINES.join(', ')}) is on PATH` }
}

/** Whether the image is on this machine. */
export async function hasImage(engine: Engine, image: Image): Promise<boolean> {
  return await tell(engine, ['image', 'inspect', withRegistry(image)]).then(
    () => true,
    () => false,
  )
}

/** The command that a person would type. */
export function pullCommand(engine: Engine['name'], image: Image): string {
  return `${engine} pull ${withRegistry(image)}`
}

/** @throws with what the engine said */
export async function pull(engine: Engine, image: Image, say: (line: string) => void): Promise<void> {
  const began = Date.now()
  say(`pulling ${image.name}: ${pullCommand(engine.name, image)}`)
  const timer = setInterval(() => {
    say(`still pulling ${image.name} after ${Math.round((Date.now() - began) / 1000)} s`)
  }, SAY_EVERY_MS)
  try {
    await tell(engine, ['pull', '--quiet', withRegistry(image)], { withinMs: PULLS_WITHIN_MS })
  } finally {
    clearInterval(timer)
  }
}
