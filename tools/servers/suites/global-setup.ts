import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { collectSkippedIn, skippedReport } from './skipped.ts'

/** Vitest's global set-up: the last thing that a run says is which server suites it left out. */
export default function setup(): () => void {
  const folder = mkdtempSync(join(tmpdir(), 'tensorhub-skipped-'))
  const file = join(folder, 'suites')
  writeFileSync(file, '')
  collectSkippedIn(file)
  return () => {
    process.stderr.write(skippedReport(file))
    rmSync(folder, { recursive: true, force: true })
  }
}
