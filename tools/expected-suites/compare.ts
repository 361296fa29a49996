/** What is read of a test run's JSON report (Jest's form, which vitest writes). */
export interface Report {
  readonly testResults: readonly {
    /** The file's absolute path. */
    readonly name: string
    readonly assertionResults: readonly { readonly ancestorTitles: readonly string[]; readonly status: string }[]
  }[]
}

/** The suites of a file, e.g. `index conformance: sqlite`, `the facade on MongoDB and S3`. */
export type Expected = Readonly<Record<string, readonly string[]>>

/** Conformance, what runs on each pair of stores, and what kills processes and servers. */
const SUITE =
  /^(?:(?:index|blob) conformance|index properties): |^(?:the facade|a task's process|F1 and F2|F6|F7) on |^copyTo from /

/**
 * What is wrong with the suites of a whole run: one that did not run, ran in part, or runs without being listed. A suite that is switched off
 * passes silently otherwise (keyv#1965–1967 found suites that had been off for years).
 */
export function problemsOf(report: Report, expected: Expected, root: string): string[] {
  const ran = new Map<string, string[]>()
  for (const { name, assertionResults } of report.testResults) {
    const file = name.replaceAll('\\', '/').replace(`${root.replaceAll('\\', '/').replace(/\/$/, '')}/`, '')
    for (const { ancestorTitles, status } of assertionResults) {
      const suite = ancestorTitles.find((title) => SUITE.test(title))
      if (suite === undefined) continue
      const key = `${file} > ${suite}`
      ran.set(key, [...(ran.get(key) ?? []), status])
    }
  }
  const listed = new Set(Object.entries(expected).flatMap(([file, suites]) => suites.map((s) => `${file} > ${s}`)))
  const problems = [...listed].filter((key) => !ran.has(key)).map((key) => `${key}: did not run`)
  for (const [key, statuses] of ran) {
    if (!listed.has(key)) problems.push(`${key}: is not in tools/expected-suites/expected.json; add it`)
    const left = statuses.filter((status) => status !== 'passed' && status !== 'failed').length
    if (left > 0) problems.push(`${key}: ${left} of ${statuses.length} tests did not run`)
  }
  return problems
}
