/**
 * Runs the MNIST sweep on every pair of index and blob store, each chosen by URL alone:
 *
 *   node tools/sweep/run.ts [--only sqlite-s3,mongodb-gridfs]
 *
 * Ends with 1 when one of them fails, after all of them ran.
 */
import { spawn } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { BlobsName, IndexName } from '@tensorhub/servers/layers'
import { nameOfPair, openPair, PAIRS } from '@tensorhub/servers/pairs'

const MAIN = fileURLToPath(new URL('../../examples/mnist-sweep/main.ts', import.meta.url))
const { values } = parseArgs({ options: { only: { type: 'string' } } })
const wanted = values.only?.split(',')
const known = PAIRS.map(([index, blobs]) => `${index}-${blobs}`)
for (const name of wanted ?? [])
  if (!known.includes(name)) throw new Error(`No such pair: ${name}. Pairs: ${known.join(', ')}`)

let failed = 0
for (const [index, blobs] of PAIRS) {
  if (wanted?.includes(`${index}-${blobs}`) === false) continue
  const began = performance.now()
  const problem = await sweep(index, blobs)
  if (problem !== undefined) failed++
  const seconds = ((performance.now() - began) / 1000).toFixed(0)
  console.log(`${problem === undefined ? '✓' : '✗'} the MNIST sweep on ${nameOfPair(index, blobs)} (${seconds} s)`)
  if (problem !== undefined) console.error(problem)
}
process.exitCode = failed === 0 ? 0 : 1

/** @returns what went wrong, with the end of what the sweep said. */
async function sweep(index: IndexName, blobs: BlobsName): Promise<string | undefined> {
  const pair = await openPair(index, blobs)
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-sweep-'))
  try {
    const urls = await pair.newHub()
    const hub = urls.index === urls.blobs ? ['--url', urls.index] : ['--index', urls.index, '--blobs', urls.blobs]
    const log = join(folder, 'log')
    const output = await open(log, 'w')
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', MAIN, '--quick', ...hub], {
      stdio: ['ignore', output.fd, output.fd],
    })
    const end = await new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('exit', (code, signal) => resolve(signal ?? code))
    })
    await output.close()
    return end === 0 ? undefined : `It ended with ${String(end)}:\n${(await readFile(log, 'utf8')).slice(-6000)}`
  } finally {
    await rm(folder, { recursive: true, force: true })
    await pair.close()
  }
}
