import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../docs/pages.ts'
import { markdownTable } from '../docs/table.ts'
import type { Expected } from '../expected-suites/compare.ts'
import { nameOfPair, PAIRS } from '../servers/pairs.ts'

const START = '<!-- matrix:start, written by tools/matrix-table/write.ts -->'
const END = '<!-- matrix:end -->'

/** The suites of which a run without one fails. */
export const expectedSuites = (): Expected =>
  JSON.parse(readFileSync(join(ROOT, 'tools/expected-suites/expected.json'), 'utf8')) as Expected

const EMBEDDED = 'embedded folder'

/** What runs where: pairs of stores, then drivers. @throws When a suite's title is not understood, or the gate runs no sweep. */
export function matrixTables(expected: Expected, gate: string): string {
  const suites = Object.values(expected).flat()
  // tools/sweep runs over PAIRS, all of them.
  const sweeps = /^[^#\n]*tools\/sweep\/run\.ts/m.test(gate)
  const yes = (ran: boolean) => (ran ? '✓' : '—')
  const pairs = PAIRS.map(([index, blobs]) => {
    const name = nameOfPair(index, blobs)
    const names = index === 'sqlite' && blobs === 'fs' ? [name, EMBEDDED] : [name]
    const has = (test: (suite: string, name: string) => boolean) => suites.some((s) => names.some((n) => test(s, n)))
    const copy = [
      ...(has((s, n) => s.startsWith(`copyTo from ${n} to `)) ? ['from'] : []),
      ...(has((s, n) => s.startsWith('copyTo from ') && s.endsWith(` to ${n}`)) ? ['to'] : []),
    ]
    return [
      name,
      yes(has((s, n) => s === `the facade on ${n}`)),
      yes(has((s, n) => s === `a task's process on ${n}`)),
      yes(sweeps),
      yes(has((s, n) => s.startsWith(`F6 on ${n}:`))),
      copy.join(', ') || '—',
    ]
  })
  return [
    markdownTable(
      [
        'index and blobs',
        'every test of the facade',
        'a task in its process',
        'MNIST sweep',
        'killed at changes',
        'copied',
      ],
      pairs,
    ),
    markdownTable(['driver', 'layer', 'servers (and modes) of its conformance suites'], drivers(expected)),
  ].join('\n\n')
}

/** One row a driver and layer: the servers that its suite runs on, each with its modes. Indexes first. */
function drivers(expected: Expected): string[][] {
  const rows = new Map<string, Map<string, string[]>>()
  for (const [file, suites] of Object.entries(expected)) {
    // The suite's own tests run it on drivers that are broken, or wrapped, on purpose.
    if (file.startsWith('packages/conformance/')) continue
    for (const suite of suites) {
      const conformance = /^(index|blob) conformance: (.+)$/.exec(suite)
      if (conformance === null) continue
      const title = /^(\w+)(?: on ([^,]+)(?:, (.+))?| \(([^,)]+)(?:, (.+))?\)(?:, (.+))?)?$/.exec(
        conformance[2] as string,
      )
      if (title === null)
        throw new Error(
          `'${suite}' of ${file} should be 'driver', 'driver on server, mode' or 'driver (server), mode'.`,
        )
      const [, driver = '', on, onMode, within, withinMode, mode] = title
      const key = `${conformance[1] === 'index' ? 'index' : 'blobs'}|${driver}`
      const server =
        on ?? within ?? (file.startsWith('examples/') ? 'no server: an example of an adapter' : 'no server')
      const servers = rows.get(key) ?? new Map<string, string[]>()
      rows.set(key, servers)
      servers.set(server, [
        ...(servers.get(server) ?? []),
        ...[onMode ?? withinMode ?? mode].filter((m) => m !== undefined),
      ])
    }
  }
  const order = (key: string) => (key.startsWith('index') ? 0 : 1)
  return [...rows]
    .sort(([a], [b]) => order(a) - order(b) || a.localeCompare(b, 'en'))
    .map(([key, servers]) => [
      ...key.split('|').reverse(),
      [...servers]
        .map(([server, modes]) => (modes.length === 0 ? server : `${server} (${modes.join('; ')})`))
        .join(' · '),
    ])
}

/** The README with the tables of today between its markers. @throws When it has no markers. */
export function withMatrix(readme: string, tables: string): string {
  const start = readme.indexOf(START)
  const end = readme.indexOf(END)
  if (start < 0 || end < start)
    throw new Error(`README.md has no markers; put '${START}' and '${END}' where the tables belong.`)
  return `${readme.slice(0, start + START.length)}\n${tables}\n${readme.slice(end)}`
}

export const README: string = join(ROOT, 'README.md')

/** README.md as it should be. */
export function readmeWithMatrix(): string {
  const gate = readFileSync(join(ROOT, '.ci/run'), 'utf8')
  return withMatrix(readFileSync(README, 'utf8'), matrixTables(expectedSuites(), gate))
}
