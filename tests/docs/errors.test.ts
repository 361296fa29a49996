import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { ERRORS_PAGE, errorsPage } from '../../tools/docs/errors/page.ts'
import { codeMeanings, errorSites } from '../../tools/docs/errors/scan.ts'
import { ROOT } from '../../tools/docs/pages.ts'

describe('docs/errors.md', () => {
  it('is what the code says', () => {
    expect(readFileSync(join(ROOT, ERRORS_PAGE), 'utf8'), 'stale: run node tools/docs/errors/write.ts').toBe(
      errorsPage(),
    )
  })

  it('knows the codes, and finds them where they are made', () => {
    const codes = codeMeanings().map(({ code }) => code)
    expect(codes).toContain('NOT_FOUND')
    const unknown = errorSites().filter(({ code }) => !codes.includes(code))
    expect(unknown).toEqual([])
    expect(new Set(errorSites().map(({ code }) => code)).size).toBeGreaterThan(11)
  })

  it('reads reasons, also those behind a parameter, and who may repeat', () => {
    const of = (reason: string) => errorSites().filter(({ reasons }) => reasons.includes(reason))
    expect(of('RESERVED_TAG').map(({ package: name, code }) => [name, code])).toContainEqual(['tensorhub', 'INVALID'])
    expect(of('NO_RUNNER').map(({ code, retryable }) => [code, retryable])).toEqual([['UNAVAILABLE', true]])
    expect(of('WAIT_TIMEOUT')).toEqual(of('NO_RUNNER'))
  })
})
