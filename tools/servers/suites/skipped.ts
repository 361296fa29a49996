import { appendFileSync, readFileSync } from 'node:fs'

/** A suite that did not run because its server was not there. */
export interface SkippedSuite {
  readonly suite: string
  readonly kind: string
  readonly reason: string
}

/** Names the file in which the processes of one test run say what they left out. */
const FILE = 'TENSORHUB_SKIPPED_SUITES'

export function collectSkippedIn(file: string): void {
  process.env[FILE] = file
}

export function tellSkipped(skipped: SkippedSuite): void {
  const file = process.env[FILE]
  if (file !== undefined) appendFileSync(file, `${JSON.stringify(skipped)}\n`)
}

/** What was left out so far, and why, for people; the last line counts. Empty when nothing was. */
export function skippedReport(file: string): string {
  const skipped = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as SkippedSuite)
  if (skipped.length === 0) return ''
  const lines: string[] = ['']
  for (const reason of new Set(skipped.map((one) => one.reason))) {
    const of = skipped.filter((one) => one.reason === reason)
    lines.push(`left out, ${reason}`, ...of.map(({ suite }) => `  ${suite}`))
  }
  const kinds = [...new Set(skipped.map(({ kind }) => kind))].sort().join(', ')
  lines.push(`${skipped.length} server ${skipped.length === 1 ? 'suite' : 'suites'} skipped: ${kinds}`, '')
  return lines.join('\n')
}
