/**
 * Records the demo in a pseudo-terminal and writes the picture of the README:
 *
 *   node tools/recording/record.ts [--command 'npm run --silent demo -- --quick'] [--out docs/images/demo.svg]
 *
 * Linux, with `script` of util-linux. The run is a real one; it ends with an error if the demo does.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { ROOT } from '../docs/pages.ts'
import { film } from './film.ts'
import { recordTerminal } from './pty.ts'
import { terminalSvg } from './svg.ts'

/** Four digits side by side. */
const COLUMNS = 92
/** How long the picture plays, in ms; the run is shown so many whole times faster. */
const PLAYS = 20_000
/** How often the picture changes at most, in ms. */
const EVERY = 200

const { values } = parseArgs({
  options: {
    command: { type: 'string', default: 'npm run --silent demo -- --quick' },
    out: { type: 'string', default: join('docs', 'images', 'demo.svg') },
  },
})

// As on a machine that is new to TensorHub: without a TensorFlow that the repository's tool has built there.
const cache = mkdtempSync(join(tmpdir(), 'tensorhub-recording-'))
const size = { columns: COLUMNS, rows: 60 }
const pieces = await recordTerminal(values.command, size, { cwd: ROOT, env: { TENSORHUB_CACHE: cache } })
rmSync(cache, { recursive: true, force: true })
const duration = pieces.at(-1)?.at ?? 0
const speed = Math.max(1, Math.round(duration / PLAYS))
const title = `${values.command.replace(' --silent', '')}   (${speed} times as fast as it was)`
const svg = terminalSvg(film(withoutPlaces(pieces), COLUMNS, EVERY * speed), { title, columns: COLUMNS, speed })
const file = join(ROOT, values.out)
mkdirSync(dirname(file), { recursive: true })
writeFileSync(file, svg)
console.log(`\n${values.out}: ${Math.round(svg.length / 1024)} KiB, ${Math.round(duration / 1000)} s recorded`)

/** The picture shows where the hub is from the repository's folder on, whatever machine it was recorded on. */
function withoutPlaces(all: typeof pieces): typeof pieces {
  return all.map(({ at, text }) => ({ at, text: text.replaceAll(ROOT, '.') }))
}
