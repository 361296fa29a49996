import { join } from 'node:path'
import { type Call, HubError, type IndexDriver, redactUrl, StoreClock } from '@tensorhub/core'
import { makeFacadeIndexes } from '../documents/indexes.ts'
import { type Stamps, stampsOf } from '../documents/stamps.ts'
import type { HubParts } from '../hub.ts'
import { checkPolicy } from '../tasks/script-policy.ts'
import type { ConnectionSpec } from './connection-spec.ts'
import { isOwnFolder, layoutOf, openEmbeddedFolder } from './embedded-folder.ts'
import { readFormatRecord, writeFormatRecord } from './format-record.ts'
import { embeddedStores, laterStores, namedStores, type Stores } from './open-stores.ts'
import type { ConnectOptions } from './options.ts'
import { checkProjectName, defaultProjectName } from './project-name.ts'
import { resolveSettings } from './settings.ts'
import { workOfHub } from './work-of-hub.ts'

/** Resolves, opens and checks what the caller named: `(url?, options?)` or `(options?)`. */
export async function connect(first: unknown, second?: ConnectOptions): Promise<HubParts> {
  const at = { scheme: 'hub', op: 'connect' }
  if (first !== undefined && typeof first !== 'string' && (typeof first !== 'object' || first === null))
    throw new HubError('INVALID', "connect takes a folder or URL, and an object of options: connect('./hub', { … }).", {
      at,
    })
  if (typeof first === 'object' && second !== undefined)
    throw new HubError(
      'INVALID',
      "connect takes one object: put 'index', 'blobs' and the options into it together, connect({ index, blobs, projectName, … }).",
      { at },
    )
  const [url, given] = typeof first === 'object' ? [undefined, first as ConnectOptions] : [first, second ?? {}]
  const { target, options } = await resolveSettings(url, given, process.env, process.cwd())
  const projectName = checkProjectName(options.projectName ?? (await defaultProjectName(process.cwd())))
  if (options.scripts !== undefined) checkPolicy(options.scripts)
  const call: Call = options.signal ? { signal: options.signal } : {}
  const shared = { projectName, scripts: options.scripts, codecs: options.codecs ?? [], task: undefined }

  if (target.kind === 'folder') {
    const folder = await openEmbeddedFolder(target.folder, options.signal)
    const workDir = options.workDir === undefined ? folder.work : workOfHub(options.workDir, folder.folder)
    const stores = await ready(embeddedStores(folder), call, false)
    return {
      ...shared,
      ...stores,
      workDir,
      embedded: await isOwnFolder(folder),
      connection: { folder: folder.folder, projectName, workDir },
      stamps: stampsOf(folder.folder),
      collect: options.collect ?? true,
      place: `embedded in ${folder.folder}`,
    }
  }

  const place = `index ${describe(target.index)}, blobs ${describe(target.blobs)}`
  const workDir = workOfHub(
    options.workDir ?? join(process.cwd(), '.tensorhub-work'),
    shareable(target.index) ? place : undefined,
  )
  const stores = await ready(await namedStores(target.index, target.blobs), call, true)
  return {
    ...shared,
    ...stores,
    workDir,
    embedded: false,
    connection: connectionOf(target.index, target.blobs, projectName, workDir),
    stamps: stampsOfIndex(target.index, stores),
    ...(target.server ? { server: target.server } : {}),
    collect: options.collect ?? false,
    place,
  }
}

/**
 * A hub of a connection that this user's runner has open already: nothing is read before it is first used. The documents it writes carry `task`.
 */
export function connectLater(spec: ConnectionSpec, task: HubParts['task']): HubParts {
  const { folder, index, blobs, projectName, workDir } = spec
  const stores = folder === undefined ? laterStores(index as string, blobs as string) : embeddedStores(layoutOf(folder))
  return {
    ...stores,
    clock: new StoreClock(stores.index),
    stamps: stampsOf(folder ?? (index as string)),
    projectName,
    workDir,
    scripts: undefined,
    codecs: [],
    task,
    embedded: false,
    connection: spec,
    collect: false,
    place:
      folder === undefined
        ? `index ${describe(index as string)}, blobs ${describe(blobs as string)}`
        : `embedded in ${folder}`,
  }
}

/** Both layers reached, the format known, the facade's indexes there, the store's clock read. */
async function ready(stores: Stores, call: Call, record: boolean): Promise<Stores & { clock: StoreClock }> {
  try {
    await stores.index.open(call)
    // A newer format is refused before the blob store is touched.
    const known = !record || (await readFormatRecord(stores.index, call))
    const clock = new StoreClock(stores.index)
    // To far stores these are round trips: in a hub that is there already all at once, in a new one after the blob store was reached.
    const open = [stores.blobs.open(call)]
    if (!known) {
      await open[0]
      await writeFormatRecord(stores.index, call)
    }
    await allEnded([...open, makeFacadeIndexes(stores.index, call), clock.sync(call)])
    return { ...stores, clock }
  } catch (error) {
    await Promise.allSettled([stores.index.close(), stores.blobs.close()])
    throw error
  }
}

/** Waits for all, so that nothing goes on when the stores are closed; the first failure is thrown. */
async function allEnded(work: readonly Promise<unknown>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === 'rejected')
  if (failed !== undefined) throw failed.reason
}

/** `memory:` is a new store each time; named ones, like other URLs, are the same store again. Drivers over one native handle are over one store. */
function stampsOfIndex(index: string | IndexDriver, stores: Stores): Stamps {
  if (typeof index === 'string') return stampsOf(index === 'memory:' ? stores.index : index)
  const native = index.native?.()
  return stampsOf(typeof native === 'object' && native !== null ? native : index)
}

/** Whether it means the same store in another process: not memory, not driver objects. */
function shareable(store: unknown): store is string {
  return typeof store === 'string' && !store.startsWith('memory:')
}

/** What a child process can open; undefined where there is nothing of that kind. */
function connectionOf(
  index: unknown,
  blobs: unknown,
  projectName: string,
  workDir: string,
): ConnectionSpec | undefined {
  return shareable(index) && shareable(blobs) ? { index, blobs, projectName, workDir } : undefined
}

function describe(store: string | { readonly scheme: string }): string {
  return typeof store === 'string' ? redactUrl(store) : `${store.scheme} (driver object)`
}
