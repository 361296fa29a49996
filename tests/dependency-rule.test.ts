import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { breachesOf } from './dependency-rule.ts'

const packages = fileURLToPath(new URL('../packages', import.meta.url))

describe('the dependency rule', () => {
  for (const name of readdirSync(packages)) {
    it(`holds in packages/${name}`, () => {
      expect(breachesOf(join(packages, name))).toEqual([])
    })
  }
})

describe('the dependency rule finds a planted fault', () => {
  const folder = mkdtempSync(join(tmpdir(), 'tensorhub-rule-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  function plant(manifest: object, source: string): string[] {
    mkdirSync(join(folder, 'src'), { recursive: true })
    writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest))
    writeFileSync(join(folder, 'src', 'index.ts'), source)
    return breachesOf(folder)
  }
  const fs = (more: object = {}) => ({ name: '@tensorhub/fs', dependencies: { '@tensorhub/core': '1' }, ...more })

  it.each([
    ['nothing wrong', fs(), "import { HubError } from '@tensorhub/core' // from 'x'\nimport 'node:fs'", undefined],
    ['a driver that imports another', fs(), "import { s3 } from '@tensorhub/s3'", 'against the dependency rule'],
    ['an upward import of a type', fs(), "import type { TensorHub } from 'tensorhub'", 'against the dependency rule'],
    ['an upward import at run time', fs(), "await import('@tensorhub/content')", 'against the dependency rule'],
    ['a re-export from above', fs(), "export * from '@tensorhub/content/x'", 'against the dependency rule'],
    ['a dependency on another driver', fs({ dependencies: { '@tensorhub/s3': '1' } }), '', 'depends on @tensorhub/s3'],
    ['an undeclared package', fs(), "import ulid from 'ulid'", 'does not declare'],
    ['a way out of the package', fs(), "import '../../core/src/index.ts'", 'outside its package'],
    ['a builtin without node:', fs(), "import 'fs'", 'should be node:fs'],
    ['a dependency of core', { name: '@tensorhub/core', dependencies: { ulid: '1' } }, '', 'has no dependencies'],
    ['an unknown package', { name: '@tensorhub/new' }, '', 'not in the table'],
  ])('%s', (_, manifest, source, message) => {
    const found = plant(manifest, source)
    if (message === undefined) expect(found).toEqual([])
    else expect(found.join('\n')).toContain(message)
  })
})
