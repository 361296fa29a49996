import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { outputFault, withChecks } from './claims.ts'
import { ROOT } from './pages.ts'
import type { Snippet } from './snippets.ts'

const bin = (name: string) => join(ROOT, 'node_modules', name)
const TSC = bin('typescript/bin/tsc')
const VITEST = bin('vitest/vitest.mjs')

/** A snippet's own folder in a workspace, with the files that the page has named so far. */
export interface Placed {
  readonly snippet: Snippet
  readonly folder: string
  /** The file to run; sh has none. */
  readonly file: string
}

/**
 * Writes the snippets of one page, each into a folder of its own beside the page's named files before it.
 *
 * @param folder The workspace's folder.
 */
export function placeSnippets(folder: string, snippets: readonly Snippet[]): Placed[] {
  const named = new Map<string, string>()
  return snippets.map((snippet) => {
    const own = join(folder, 'pages', snippet.page.replace(/[^\w]+/g, '-'), `line-${snippet.line}`)
    mkdirSync(own, { recursive: true })
    for (const [name, code] of named) writeFileSync(join(own, name), code)
    const file = join(own, snippet.file ?? `snippet.${snippet.language}`)
    if (snippet.language !== 'sh') writeFileSync(file, snippet.code)
    if (snippet.file !== undefined && snippet.notRun === undefined) named.set(snippet.file, snippet.code)
    return { snippet, folder: own, file }
  })
}

/** Type-checks every placed TypeScript snippet in one pass. @returns the compiler's complaints by file. */
export async function typeFaults(folder: string): Promise<ReadonlyMap<string, string[]>> {
  const { code, output } = await run(process.execPath, [TSC, '--noEmit', '--pretty', 'false', '-p', folder], folder)
  const faults = new Map<string, string[]>()
  let file = 'tsconfig.json'
  for (const line of output.split('\n')) {
    const at = /^(\S[^(]*)\((\d+),\d+\): (?:error|warning) (.*)$/.exec(line)
    if (at === null && !/^error /.test(line)) continue
    file = at === null ? file : join(folder, at[1] as string)
    faults.set(file, [...(faults.get(file) ?? []), at === null ? line : `line ${at[2]}: ${at[3]}`])
  }
  if (code !== 0 && faults.size === 0) throw new Error(`The compiler ended with ${code}:\n${output}`)
  return faults
}

/** Runs a placed snippet for real. @throws When it fails, a claim in it does not hold, or it prints other than its page shows. */
export async function runSnippet({ snippet, folder, file }: Placed): Promise<void> {
  // It would change this repository, or fetch what is not published.
  if (snippet.language === 'sh' && /\b(?:p?npm|yarn)\s+(?:-\S+\s+)*(?:i|install|add|ci)\b/.test(snippet.code))
    throw new Error(
      `${where(snippet)} installs packages; put '<!-- not run: the packages are not on npm yet -->' before it.`,
    )
  const { code, printed, output } =
    snippet.language === 'sh'
      ? await run('sh', ['-eu', '-c', snippet.code], ROOT)
      : await runProgram(snippet, folder, file)
  if (code !== 0) throw new Error(`${where(snippet)} ended with ${code}:\n${output}`)
  const fault = outputFault(snippet, printed)
  if (fault !== undefined) throw new Error(`${where(snippet)}: ${fault}`)
}

/** `docs/query.md:12`. */
export function where(snippet: Snippet): string {
  return `${snippet.page}:${snippet.line}`
}

function runProgram(snippet: Snippet, folder: string, file: string): Promise<Ended> {
  if (/\bfrom 'vitest'/.test(snippet.code)) {
    writeFileSync(
      join(folder, 'vitest.config.ts'),
      'export default { test: { include: ["*.ts"], testTimeout: 120_000 } }\n',
    )
    return run(process.execPath, [VITEST, 'run', '--root', folder, file], folder)
  }
  writeFileSync(file, withChecks(snippet.code))
  return run(process.execPath, ['--disable-warning=ExperimentalWarning', file], folder)
}

interface Ended {
  readonly code: number | string
  /** Standard output. */
  readonly printed: string
  /** Standard output and errors. */
  readonly output: string
}

function run(program: string, args: readonly string[], cwd: string): Promise<Ended> {
  const env: NodeJS.ProcessEnv = { ...process.env, NO_COLOR: '1' }
  for (const name of Object.keys(env))
    if (/^(TENSORHUB_|VITEST|VITE_|NODE_ENV$|NODE_OPTIONS$|FORCE_COLOR$)/.test(name)) delete env[name]
  env['PATH'] = [dirname(process.execPath), join(ROOT, 'node_modules', '.bin'), env['PATH']].join(delimiter)
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
    let printed = ''
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
      output += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code: code ?? String(signal), printed, output }))
  })
}
