import { execFileSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'

it('a file of 768 MiB goes in and out within 256 MiB of memory, threads included (the bar of the bench is the same for 4 GiB)', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-stream-'))
  const script = join(import.meta.dirname, 'processes', 'stream.ts')
  const out = JSON.parse(execFileSync(process.execPath, [script, folder, '768']).toString()) as Record<string, unknown>
  await rm(folder, { recursive: true })
  expect(out).toMatchObject({ bytes: 768 * 2 ** 20, same: true, progress: true })
  expect(out.peakMiB).toBeLessThanOrEqual(256)
})
