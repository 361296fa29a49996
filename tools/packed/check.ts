/**
 * What users install: packs every package, checks the tarballs, installs them in an empty project and uses them there.
 *
 *   node tools/bootstrap/run.cjs exec node tools/packed/check.ts [--node PROGRAM]… [--write]
 *
 * `--node` names further Node programs that the installed packages are run on (the oldest supported one, say). `--write` states the sizes it measures in
 * the READMEs, instead of comparing. Needs the npm registry for the packages' own dependencies. Prints one line a check and exits with 1 when one failed.
 */
import { spawnSync } from 'node:child_process'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Footprints, footprintOf, isOff, statedFootprints, writeFootprints } from './footprint.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const BIN = join(ROOT, 'node_modules', '.bin')
/** The most a tarball may weigh, in bytes: a surprise in here is a file that does not belong. */
const BUDGET = 250_000

const { values } = parseArgs({
  options: { node: { type: 'string', multiple: true, default: [] }, write: { type: 'boolean', default: false } },
})

let passed = 0
let failed = 0

function check(name: string, run: () => void): void {
  try {
    run()
    passed++
    console.log(`  ✓ ${name}`)
  } catch (error) {
    failed++
    console.log(`  ✗ ${name}\n${String(error instanceof Error ? error.message : error).replace(/^/gm, '      ')}`)
  }
}

function run(program: string, args: readonly string[], cwd: string): string {
  const done = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 })
  if (done.error !== undefined) throw done.error
  const text = `${done.stdout}${done.stderr}`
  if (done.status !== 0)
    throw new Error(`${program} ${args.join(' ')} ended with ${done.status ?? done.signal}\n${text}`)
  return text
}

interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

interface Packed {
  readonly name: string
  readonly tarball: string
  readonly folder: string
  readonly manifest: Manifest
}

function packAll(into: string): Packed[] {
  run(join(BIN, 'turbo'), ['run', 'build'], ROOT)
  const found: Packed[] = []
  for (const folder of readdirSync(join(ROOT, 'packages'))) {
    const path = join(ROOT, 'packages', folder)
    const manifest = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Manifest
    if (manifest.private === true) continue
    const before = new Set(readdirSync(into))
    run('pnpm', ['pack', '--pack-destination', into], path)
    const tarball = readdirSync(into).find((name) => name.endsWith('.tgz') && !before.has(name))
    if (tarball === undefined) throw new Error(`pnpm pack made no tarball of ${manifest.name}`)
    const unpacked = join(into, folder)
    mkdirSync(unpacked)
    run('tar', ['-xzf', join(into, tarball), '-C', unpacked, '--strip-components=1'], into)
    found.push({
      name: manifest.name,
      tarball: join(into, tarball),
      folder: unpacked,
      manifest: JSON.parse(readFileSync(join(unpacked, 'package.json'), 'utf8')) as Manifest,
    })
  }
  return found
}

function checkTarball({ name, tarball, folder, manifest }: Packed): void {
  check(`${name}: files`, () => {
    const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) =>
      statSync(join(folder, file)).isFile(),
    )
    for (const file of ['package.json', 'README.md', 'LICENSE']) {
      if (!files.includes(file)) throw new Error(`${file} is not in the tarball`)
    }
    const foreign = files.filter(
      (file) => !/^(package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/.+\.(js|d\.ts)|python\/\w+\.py)$/.test(file),
    )
    if (foreign.length > 0) throw new Error(`these do not belong in the tarball: ${foreign.join(', ')}`)
    const bytes = statSync(tarball).size
    if (bytes > BUDGET) throw new Error(`the tarball weighs ${bytes} bytes; ${BUDGET} is the budget`)
    for (const [dependency, range] of Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies })) {
      if (/^(workspace|file|link):/.test(range)) throw new Error(`${dependency} is asked for as ${range}`)
    }
  })
  check(`${name}: publint`, () => run(join(BIN, 'publint'), ['run', tarball, '--strict'], ROOT))
  check(`${name}: are the types wrong`, () =>
    run(join(BIN, 'attw'), [tarball, '--profile', 'esm-only', '--no-emoji'], ROOT),
  )
}

/** Adapters of stores that have an SDK: it is theirs alone. */
function sdksOf({ manifest }: Packed): string[] {
  return Object.keys(manifest.dependencies ?? {}).filter((name) => !name.startsWith('@tensorhub/'))
}

const isCloud = ({ name }: Packed) => ['mongodb', 's3', 'gcs', 'azure'].some((it) => name === `@tensorhub/${it}`)

function writeProject(project: string, wanted: readonly string[], packed: readonly Packed[]): void {
  const ours = Object.fromEntries(packed.map(({ name, tarball }) => [name, `file:${tarball}`]))
  const dependencies = Object.fromEntries(wanted.map((name) => [name, ours[name]]))
  const manifest = { name: 'a-user', private: true, type: 'module', dependencies, overrides: ours }
  writeFileSync(join(project, 'package.json'), JSON.stringify(manifest, undefined, 2))
}

/** tensorhub alone, and with one adapter: which packages come along, and how large they are. */
function checkFootprints(packed: readonly Packed[], scratch: string): void {
  const measured: Record<string, Footprints[string]> = {}
  const stated = statedFootprints()
  for (const adapter of [undefined, ...packed.filter(isCloud)]) {
    const wanted = ['tensorhub', ...(adapter === undefined ? [] : [adapter.name])]
    const title = wanted.join(' ')
    const project = mkdtempSync(join(scratch, 'footprint-'))
    check(`${title}: no SDK of another store comes along`, () => {
      writeProject(project, wanted, packed)
      run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], project)
      const { names, ...figure } = footprintOf(project)
      measured[title] = figure
      console.log(`    ${title}: ${figure.packages} packages, ${(figure.bytes / 1e6).toFixed(1)} MB`)
      const own = adapter === undefined ? [] : sdksOf(adapter)
      for (const name of [...own, ...wanted]) if (!names.includes(name)) throw new Error(`${name} is not installed`)
      const foreign = packed.filter((other) => isCloud(other) && other !== adapter)
      for (const name of foreign.flatMap((other) => [other.name, ...sdksOf(other)]))
        if (names.includes(name) && !own.includes(name)) throw new Error(`${name} was installed as well`)
      // Its declarations, before others are there that could make up for what it does not declare.
      if (adapter !== undefined) checkAdapterTypes(adapter.name, project)
    })
    if (!values.write && measured[title] !== undefined)
      check(`${title}: as large as the READMEs say`, () => {
        const off = isOff(title, measured[title] as Footprints[string], stated[title])
        if (off !== undefined) throw new Error(off)
      })
  }
  if (values.write) writeFootprints(measured)
}

const COMPILE = [
  ...['--noEmit', '--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--pretty', 'false'],
  ...['--target', 'es2024', '--module', 'nodenext', '--lib', 'es2024,esnext.disposable,dom,dom.asynciterable'],
  ...['--typeRoots', join(ROOT, 'node_modules', '@types'), '--types', 'node'],
]

/** With skipLibCheck: false. What is wrong in an SDK's own declarations is not ours to mend, and is told. */
function checkAdapterTypes(name: string, project: string): void {
  writeFileSync(
    join(project, 'adapter.ts'),
    `import * as adapter from '${name}'
import { TensorHub } from 'tensorhub'
export const used: (blobs: string) => unknown = (blobs) =>
  TensorHub.connect({ index: 'memory:', blobs: adapter.blobsFromUrl(blobs), projectName: 'p' })\n`,
  )
  const done = spawnSync(join(BIN, 'tsc'), [...COMPILE, 'adapter.ts'], { cwd: project, encoding: 'utf8' })
  const errors = done.stdout.split('\n').filter((line) => / error TS\d+: /.test(line))
  const ours = errors.filter(
    (line) => !line.startsWith('node_modules/') || /^node_modules\/(@tensorhub|tensorhub)\//.test(line),
  )
  if (ours.length > 0 || (done.status !== 0 && errors.length === 0)) throw new Error(ours.join('\n') || done.stdout)
  if (errors.length > 0)
    console.log(`    ${name}: ${errors.length} faults in the SDK's own declarations; the first: ${errors[0]}`)
}

function checkInstalled(packed: readonly Packed[], scratch: string): void {
  const project = join(scratch, 'project with a space')
  cpSync(fileURLToPath(new URL('project', import.meta.url)), project, { recursive: true })
  writeProject(
    project,
    packed.map(({ name }) => name),
    packed,
  )
  check('npm installs the tarballs in an empty project', () => {
    run('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], project)
    for (const { name } of packed) {
      if (!existsSync(join(project, 'node_modules', name, 'dist'))) throw new Error(`${name} is not installed`)
    }
  })
  check('a user’s program type-checks with skipLibCheck: false', () => {
    run(
      join(BIN, 'tsc'),
      [
        '--noEmit',
        '--strict',
        '--exactOptionalPropertyTypes',
        '--skipLibCheck',
        'false',
        '--target',
        'es2024',
        '--module',
        'nodenext',
        '--lib',
        'es2024,esnext.disposable',
        '--typeRoots',
        join(ROOT, 'node_modules', '@types'),
        '--types',
        'node',
        'types.ts',
      ],
      project,
    )
  })
  for (const node of [process.execPath, ...values.node]) {
    const version = run(node, ['--version'], project).trim()
    check(`every entry imports on Node ${version}`, () => run(node, ['entries.js'], project))
    check(`a program with dataset, model, worker threads and a task runs on Node ${version}`, () => {
      const text = run(node, ['program.js'], project)
      if (!/^all of it worked$/m.test(text)) throw new Error(text)
    })
    check(`the conformance suite runs from the tarball under node:test on Node ${version}`, () => {
      const text = run(node, ['--test', 'conformance.test.js'], project)
      const count = Number(/^(?:#|ℹ) pass (\d+)$/m.exec(text)?.[1] ?? 0)
      if (count < 80) throw new Error(`only ${count} tests ran\n${text.slice(-2000)}`)
    })
  }
}

const scratch = mkdtempSync(join(tmpdir(), 'tensorhub-packed-'))
try {
  const tarballs = join(scratch, 'tarballs')
  mkdirSync(tarballs)
  const packed = packAll(tarballs)
  for (const one of packed) checkTarball(one)
  checkInstalled(packed, scratch)
  checkFootprints(packed, scratch)
} finally {
  rmSync(scratch, { recursive: true, force: true })
}
console.log(`packed: ${passed} passed, ${failed} failed`)
process.exitCode = failed === 0 ? 0 : 1
