import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { blobConformance, indexConformance, indexProperties } from '@tensorhub/conformance'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { oneFileBlobs, oneFileIndex } from '../src/index.ts'

/** Drivers of new files, and which file each has. */
function harnessOf<D extends object>(make: (file: string) => D) {
  const files = new Map<D, string>()
  const open = (file: string) => {
    const driver = make(file)
    files.set(driver, file)
    return driver
  }
  const fileOf = (driver: D) => files.get(driver) as string
  return {
    make: () => open(join(mkdtempSync(join(tmpdir(), 'onefile-')), 'experiment.hub')),
    again: (driver: D) => open(fileOf(driver)),
    wipe: async (driver: D) => rmSync(dirname(fileOf(driver)), { recursive: true, force: true }),
    unusable: () => make('/no/such/folder/experiment.hub'),
  }
}

const runner = { afterAll, beforeAll, describe, it }
indexConformance('onefile', harnessOf(oneFileIndex), runner)
indexProperties('onefile', harnessOf(oneFileIndex), runner)
blobConformance('onefile', harnessOf(oneFileBlobs), runner)
