import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { ROOT } from '../docs/pages.ts'
import { markdownTable } from '../docs/table.ts'

/** What an installation pulls in. */
export interface Footprint {
  /** Packages in `node_modules`, ours among them. */
  readonly packages: number
  /** Bytes of all files in `node_modules`. */
  readonly bytes: number
}

/** By what is installed: `tensorhub`, `tensorhub @tensorhub/s3` … */
export type Footprints = Readonly<Record<string, Footprint>>

/** The figures that the READMEs state: measured by `check.ts --write`, held to by every other run of it. */
export const STATED = join(ROOT, 'tools', 'packed', 'footprint.json')

export const statedFootprints = (): Footprints =>
  existsSync(STATED) ? (JSON.parse(readFileSync(STATED, 'utf8')) as Footprints) : {}

/** Dependencies of dependencies get releases of their own: so far a figure may be off before it is to be measured anew. */
const TOLERANCE = 0.15

/** What an installation under `node_modules` of a project is. */
export function footprintOf(project: string): Footprint & { readonly names: readonly string[] } {
  const lock = JSON.parse(readFileSync(join(project, 'node_modules', '.package-lock.json'), 'utf8')) as {
    readonly packages: Readonly<Record<string, unknown>>
  }
  const paths = Object.keys(lock.packages)
  const names = paths.map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length))
  let bytes = 0
  const folder = join(project, 'node_modules')
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size
  return { packages: paths.length, bytes, names }
}

/** In words, where a figure is not what the READMEs say. */
export function isOff(name: string, measured: Footprint, stated: Footprint | undefined): string | undefined {
  if (stated === undefined) return `${name} has no stated figure; run tools/packed/check.ts --write.`
  const near = (a: number, b: number, least: number) => Math.abs(a - b) <= Math.max(least, TOLERANCE * b)
  if (near(measured.packages, stated.packages, 2) && near(measured.bytes, stated.bytes, 100_000)) return undefined
  return `${name}: ${say(measured)}, and the READMEs say ${say(stated)}; run tools/packed/check.ts --write.`
}

function say({ packages, bytes }: Footprint): string {
  return `${packages} packages, ${(bytes / 1e6).toFixed(1)} MB`
}

const START = '<!-- footprint:start, written by tools/packed/check.ts --write -->'
const END = '<!-- footprint:end -->'

/** The pages that state figures, each with its section as it should be. */
export function footprintPages(figures: Footprints): { readonly page: string; readonly text: string }[] {
  const rows = Object.entries(figures).map(([name, { packages, bytes }]) => [
    `\`npm i ${name}\``,
    String(packages),
    `${(bytes / 1e6).toFixed(1)} MB`,
  ])
  const pages = [{ page: 'README.md', section: markdownTable(['installed', 'packages', 'size'], rows) }]
  for (const [name, figure] of Object.entries(figures)) {
    const adapter = /@tensorhub\/(\w+)$/.exec(name)?.[1]
    if (adapter === undefined) continue
    const section = `\`npm i ${name}\` installs ${say(figure)}, and the SDK of no other store.`
    pages.push({ page: `packages/${adapter}/README.md`, section })
  }
  return pages
    .filter(({ page }) => existsSync(join(ROOT, page)))
    .map(({ page, section }) => ({ page, text: withSection(readFileSync(join(ROOT, page), 'utf8'), section) }))
}

/** In place of the section that is there; else after the first block of commands, which is the installation. */
function withSection(text: string, section: string): string {
  const block = `${START}\n${section}\n${END}`
  const start = text.indexOf(START)
  if (start >= 0) return text.slice(0, start) + block + text.slice(text.indexOf(END) + END.length)
  const behind = text.indexOf('\n```\n', text.indexOf('```sh')) + '\n```\n'.length
  return `${text.slice(0, behind)}\n${block}\n${text.slice(behind)}`
}

export function writeFootprints(figures: Footprints): void {
  writeFileSync(STATED, `${JSON.stringify(figures, undefined, 2)}\n`)
  for (const { page, text } of footprintPages(figures)) writeFileSync(join(ROOT, page), text)
}
