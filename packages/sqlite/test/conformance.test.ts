import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { type IndexHarness, indexConformance, indexProperties } from '@tensorhub/conformance'
import type { IndexDriver } from '@tensorhub/core'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { sqlite } from '../src/index.ts'

const files = new Map<IndexDriver, string>()

const open = (file: string): IndexDriver => {
  const driver = sqlite({ file })
  files.set(driver, file)
  return driver
}
const fileOf = (driver: IndexDriver): string => files.get(driver) ?? ''

const harness: IndexHarness = {
  make: async () => open(join(await mkdtemp(join(tmpdir(), 'tensorhub-sqlite-')), 'index.db')),
  again: (driver) => open(fileOf(driver)),
  wipe: (driver) => rm(dirname(fileOf(driver)), { recursive: true, force: true }),
  unusable: () => open(join(tmpdir(), 'no', 'such', 'folder', 'index.db')),
}

const runner = { describe, it, beforeAll, afterAll }

indexConformance('sqlite', harness, runner)
indexProperties('sqlite', harness, runner)
