import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { candidates, requireCandidate } from '../src/backend/candidates.ts'

const run = promisify(execFile)
const script = fileURLToPath(new URL('./interchange-process.ts', import.meta.url))
const named = process.env.TENSORHUB_TF
const native =
  process.env.TENSORHUB_REQUIRE_TFJS_NODE === '1' ||
  candidates(named).some((candidate) => 'module' in requireCandidate(candidate))
const backends = [...(native ? ['tensorflow'] : []), 'wasm', 'cpu']

interface Printed {
  readonly name: string
  readonly digests: readonly string[]
  readonly predicted: readonly number[]
}

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorhub-interchange-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function one(backend: string, what: 'save' | 'load'): Promise<Printed[]> {
  const { stdout } = await run(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', script, backend, folder, what],
    {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
    },
  )
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Printed)
}

it(`a model saved on one backend is the same on every other: ${backends.join(', ')}`, async () => {
  const saved = (await Promise.all(backends.map((backend) => one(backend, 'save')))).flat()
  for (const backend of backends) {
    const loaded = await one(backend, 'load')
    expect(loaded.map(({ name }) => name).sort()).toEqual([...backends].sort())
    for (const { name, digests, predicted } of loaded) {
      const original = saved.find((model) => model.name === name)
      expect(digests).toEqual(original?.digests)
      // Each backend sums in its own order.
      for (const [i, value] of predicted.entries()) expect(value).toBeCloseTo(original?.predicted[i] ?? Number.NaN, 4)
    }
  }
})
