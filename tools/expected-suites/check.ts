import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type Expected, problemsOf, type Report } from './compare.ts'

const [file] = process.argv.slice(2)
if (file === undefined) {
  console.error(
    'node tools/expected-suites/check.ts REPORT.json (npm test -- --reporter=json --outputFile.json=REPORT.json)',
  )
  process.exit(2)
}
const read = (path: string | URL) => JSON.parse(readFileSync(path, 'utf8')) as unknown
const expected = read(new URL('./expected.json', import.meta.url)) as Expected
const problems = problemsOf(read(file) as Report, expected, fileURLToPath(new URL('../..', import.meta.url)))
for (const problem of problems) console.error(problem)
console.log(
  problems.length === 0 ? `all ${Object.values(expected).flat().length} suites ran whole` : 'suites are missing',
)
process.exit(problems.length === 0 ? 0 : 1)
