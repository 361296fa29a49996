import { describe, expect, it } from 'vitest'
import { problemsOf, type Report } from '../tools/expected-suites/compare.ts'

const expected = { 'packages/a/test/conformance.test.ts': ['index conformance: a', 'blob conformance: a'] }
const suite = (title: string, ...statuses: string[]) =>
  statuses.map((status) => ({ ancestorTitles: [title, 'inner'], status }))
const report = (...assertionResults: ReturnType<typeof suite>): Report => ({
  testResults: [{ name: '/repo/packages/a/test/conformance.test.ts', assertionResults }],
})
const index = suite('index conformance: a', 'passed', 'failed')
const blobs = suite('blob conformance: a', 'passed')

const pair = (status: string) => [
  { ancestorTitles: ['the hub on MongoDB and S3', 'the facade on MongoDB and S3', 'models'], status },
]

describe('the list of suites', () => {
  it('is content with a run that has all of them, whole', () => {
    const own = { ancestorTitles: ['something else'], status: 'skipped' }
    expect(problemsOf(report(...index, ...blobs, own), expected, '/repo/')).toEqual([])
    expect(problemsOf(report(...index, ...blobs), expected, '/repo')).toEqual([])
  })

  it('holds pairs of stores to it by the suite inside, whatever it stands in', () => {
    const file = { 'packages/a/test/conformance.test.ts': ['the facade on MongoDB and S3'] }
    expect(problemsOf(report(...pair('passed')), file, '/repo')).toEqual([])
    expect(problemsOf(report(...pair('skipped')), file, '/repo').join()).toMatch(/1 of 1 tests did not run/)
    expect(problemsOf(report(), file, '/repo').join()).toMatch(/the facade on MongoDB and S3: did not run/)
  })

  it.each<[string, Report, RegExp]>([
    ['one that did not run', report(...index), /blob conformance: a: did not run/],
    ['a file that did not run', { testResults: [] }, /index conformance: a: did not run/],
    ['one that was skipped', report(...index, ...suite('blob conformance: a', 'skipped')), /1 of 1 tests did not run/],
    [
      'a test that was switched off',
      report(...index, ...suite('blob conformance: a', 'passed', 'todo')),
      /1 of 2 tests/,
    ],
    ['one that nobody listed', report(...index, ...blobs, ...suite('index properties: b', 'passed')), /b: is not in/],
    [
      'a pair of stores that nobody listed',
      report(...index, ...blobs, ...pair('passed')),
      /on MongoDB and S3: is not in/,
    ],
  ])('notices %s', (_, run, problem) => {
    expect(problemsOf(run, expected, '/repo').join('\n')).toMatch(problem)
  })
})
