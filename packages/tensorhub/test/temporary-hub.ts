import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import { type CommonOptions, TensorHub } from '../src/index.ts'

const folders: string[] = []
const hubs: TensorHub[] = []

afterAll(async () => {
  for (const hub of hubs) await hub.close()
  for (const folder of folders) await rm(folder, { recursive: true, force: true })
})

/** A new empty folder, removed after the file's tests. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'tensorhub-test-'))
  folders.push(folder)
  return folder
}

/** An embedded hub in a new folder, closed and removed after the file's tests. */
export async function temporaryHub(options: CommonOptions = {}): Promise<TensorHub & { readonly folder: string }> {
  const folder = await temporaryFolder()
  const hub = await TensorHub.connect(folder, { projectName: 'tutorial', ...options })
  hubs.push(hub)
  return Object.assign(hub, { folder })
}

/** A second hub on the same folder. */
export async function sameHub(folder: string, options: CommonOptions = {}): Promise<TensorHub> {
  const hub = await TensorHub.connect(folder, { projectName: 'tutorial', ...options })
  hubs.push(hub)
  return hub
}
