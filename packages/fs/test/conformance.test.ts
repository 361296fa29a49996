import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { blobConformance } from '@tensorhub/conformance'
import type { BlobDriver } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'
import { afterAll, beforeAll, describe, it } from 'vitest'

const folderOf = (driver: BlobDriver): string => String(driver.native?.())

const harness = {
  make: async () => fs({ folder: await mkdtemp(join(tmpdir(), 'tensorhub-fs-')) }),
  again: (driver: BlobDriver) => fs({ folder: folderOf(driver) }),
  // A file stands where the folder should be.
  unusable: () => fs({ folder: join(fileURLToPath(import.meta.url), 'folder') }),
  wipe: (driver: BlobDriver) => rm(folderOf(driver), { recursive: true, force: true }),
}

blobConformance('fs', harness, { afterAll, beforeAll, describe, it })
