import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { FULL, type Plan, QUICK } from './plan.ts'

const USAGE = `The MNIST sweep: trains three networks by two runner processes that share a hub.

  npm run demo -- [options]        or, in this folder: node main.ts [options]

  --quick          a fifth of the digits: about a minute, and test accuracies above ${QUICK.bar} (without: a few minutes, above ${FULL.bar})
  --url URL        the hub: a folder, or mongodb://…; default: TENSORHUB_URL, else embedded, in the folder .tensorhub of this example
  --index URL      instead of --url, the two layers apart: sqlite:///file.db or mongodb://…
  --blobs URL      with --index: file:///folder, mongodb://…, s3://…, gs://… or azblob://…
  --runners N      runner processes; default 2. With 0, start some yourself: node runner.ts [--url URL | --index URL --blobs URL]
  --units A,B,…    hidden units of each network; default ${FULL.units}
  --rows N         digits to train on, at most 50000; default ${FULL.rows}, with --quick ${QUICK.rows}
  --epochs N       default ${FULL.epochs}
  --bar A          every network must be right about more than this share of the test digits
  --help           this text
`

/** What main.ts was asked to do. */
export interface Options {
  readonly plan: Plan
  readonly hub: HubPlace
  readonly runners: number
}

/** Where the hub is. Nothing given: what the environment says (TENSORHUB_URL, or TENSORHUB_INDEX with TENSORHUB_BLOBS), else this example's folder. */
export type HubPlace = { readonly url?: string } | { readonly index: string; readonly blobs: string }

/** The options of main.ts and runner.ts that name a hub. */
export const HUB_OPTIONS = { url: { type: 'string' }, index: { type: 'string' }, blobs: { type: 'string' } } as const

/** Reads the arguments of main.ts. Prints and ends the process for `--help`, and with 2 for arguments that it does not know. */
export function readOptions(args: readonly string[]): Options {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        quick: { type: 'boolean', default: false },
        ...HUB_OPTIONS,
        runners: { type: 'string' },
        units: { type: 'string' },
        rows: { type: 'string' },
        epochs: { type: 'string' },
        bar: { type: 'string' },
        help: { type: 'boolean', default: false },
      },
    })
    if (values.help) {
      process.stdout.write(USAGE)
      process.exit(0)
    }
    const { units, rows, epochs, bar } = values
    const base = values.quick ? QUICK : FULL
    const plan: Plan = {
      ...base,
      ...(units === undefined ? {} : { units: units.split(',').map((text) => whole('--units', text, 1, 10_000)) }),
      ...(rows === undefined ? {} : { rows: whole('--rows', rows, 1, 50_000) }),
      ...(epochs === undefined ? {} : { epochs: whole('--epochs', epochs, 1, 1000) }),
      ...(bar === undefined ? {} : { bar: share('--bar', bar) }),
    }
    const runners = whole('--runners', values.runners ?? '2', 0, 64)
    return { plan, runners, hub: hubPlace(values) }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    process.stderr.write(`${error.message}\n\n${USAGE}`)
    process.exit(2)
  }
}

/** A folder is made absolute, since the runners work in another one. @throws for a hub that other processes cannot reach. */
export function hubPlace(values: {
  readonly url?: string
  readonly index?: string
  readonly blobs?: string
}): HubPlace {
  const { url, index, blobs } = values
  for (const given of [url, index, blobs])
    if (given?.startsWith('memory:'))
      throw new Error('memory: names a hub inside one process, which no runner reaches.')
  if (index !== undefined || blobs !== undefined) {
    if (url !== undefined || index === undefined || blobs === undefined)
      throw new Error('Give either --url, or --index and --blobs.')
    return { index, blobs }
  }
  if (url === undefined) return {}
  return { url: /^[a-z][a-z0-9+.-]+:/i.test(url) ? url : resolve(url) }
}

function whole(option: string, text: string, least: number, most: number): number {
  const number = Number(text)
  if (!/^\d+$/.test(text) || number < least || number > most)
    throw new Error(`${option} takes whole numbers from ${least} to ${most}, not '${text}'.`)
  return number
}

function share(option: string, text: string): number {
  const number = Number(text)
  if (text.trim() === '' || !(number >= 0 && number < 1))
    throw new Error(`${option} takes a number from 0 to 1, not '${text}'.`)
  return number
}
