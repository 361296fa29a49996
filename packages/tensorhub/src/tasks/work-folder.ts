import { mkdir, readdir, readFile, realpath, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { HubError } from '@tensorhub/core'
import { isId } from '../documents/ids.ts'
import type { TaskRecord, TaskScript } from './document.ts'
import { hashOfFiles, sha256 } from './script-files.ts'

/**
 * Writes a script's files to `<workDir>/<task>/<epoch>/`, where no one else can (mode 0700), and makes sure that they are what the task says.
 *
 * @returns the folder, without symbolic links in its path: Node names modules so.
 * @throws INTEGRITY (reason SCRIPT_HASH) when a file does not hash to what the task names, or the task's id is no id; STORAGE_FULL or DENIED when this machine cannot hold them.
 */
export async function unpack(
  workDir: string,
  task: Pick<TaskRecord, '_id' | 'epoch'>,
  script: TaskScript,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<string> {
  checkScript(script, files)
  // Who can write tasks may not be allowed to run scripts: an id with steps in it would name another folder of this machine, which is emptied.
  if (!isId(task._id))
    throw altered(`The task's id '${task._id.slice(0, 100)}' is none that a hub gives; it was altered.`, script)
  const wanted = folderOf(workDir, task)
  try {
    await rm(wanted, { recursive: true, force: true })
    await mkdir(wanted, { recursive: true, mode: 0o700 })
    const folder = await realpath(wanted)
    for (const { path, sha256: expected } of script.files) {
      const file = join(folder, ...path.split('/'))
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      await writeFile(file, files[path] as Uint8Array, { mode: 0o600, flag: 'wx' })
      if (sha256(await readFile(file)) !== expected)
        throw altered(`The script file '${path}' changed while it was written.`, script)
    }
    // Node must read .js as ES modules here, whatever folder this lies in.
    if (!script.files.some((file) => file.path === 'package.json'))
      await writeFile(join(folder, 'package.json'), '{"type":"module"}\n', { mode: 0o600 })
    return folder
  } catch (error) {
    throw error instanceof HubError ? error : folderError(error, wanted)
  }
}

/** Removes an attempt's folder, and the task's and the hub's when that was the last. What cannot go now is left to {@link sweepWork}. */
export async function removeFolder(workDir: string, task: Pick<TaskRecord, '_id' | 'epoch'>): Promise<void> {
  if (!isId(task._id)) return
  try {
    await rm(folderOf(workDir, task), { recursive: true, force: true, maxRetries: 2 })
    await rmdir(join(workDir, task._id))
    await rmdir(workDir)
  } catch {
    // The script took away its rights, a process that left its group still writes there, or another attempt has its folder beside. The attempt's
    // outcome must not depend on any of it.
  }
}

/**
 * Removes what runners that were killed left behind: every folder that is not that of a running attempt.
 *
 * @param owned Whether the folder holds attempts of this hub alone; else folders of tasks that the index does not know are left.
 * @param find Gives a task's document, if it is there.
 */
export async function sweepWork(
  workDir: string,
  owned: boolean,
  find: (id: string) => Promise<Pick<TaskRecord, 'status' | 'epoch'> | undefined>,
): Promise<void> {
  for (const id of await entriesOf(workDir)) {
    if (!isId(id)) continue // Not made by a hub.
    // Listed before the document is read: an attempt that begins meanwhile is not in the list, or is running in the document.
    const epochs = await entriesOf(join(workDir, id))
    const task = await find(id)
    if (task === undefined && !owned) continue
    for (const epoch of epochs) {
      if (!/^\d+$/.test(epoch) || (task?.status === 'running' && task.epoch === Number(epoch))) continue
      await removeFolder(workDir, { _id: id, epoch: Number(epoch) })
    }
    if (epochs.length === 0) await removeEmpty(join(workDir, id))
  }
}

/** Another runner may just have begun there, or been faster. */
async function removeEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

function folderOf(workDir: string, task: Pick<TaskRecord, '_id' | 'epoch'>): string {
  return join(workDir, task._id, String(task.epoch))
}

async function entriesOf(folder: string): Promise<string[]> {
  try {
    return await readdir(folder)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT' || code === 'ENOTDIR') return []
    throw folderError(error, folder)
  }
}

/** @throws INTEGRITY unless the files are exactly those that the task's hash stands for. */
function checkScript(script: TaskScript, files: Readonly<Record<string, Uint8Array>>): void {
  if (hashOfFiles(script.files) !== script.sha256)
    throw altered("The task's list of script files does not hash to its script.sha256; it was altered.", script)
  if (!script.files.some((file) => file.path === script.entry))
    throw altered(
      `The task's script has no file '${script.entry}', which it names as its entry; it was altered.`,
      script,
    )
  for (const { path, sha256: expected } of script.files) {
    if (path.split('/').some((step) => step === '' || step === '.' || step === '..') || /[\\:\0]/.test(path))
      throw altered(`The task's script has the file name '${path}', which leaves its folder.`, script)
    const bytes = Object.hasOwn(files, path) ? files[path] : undefined
    if (bytes === undefined || sha256(bytes) !== expected)
      throw altered(`The script file '${path}' does not hash to what the task names; it was altered.`, script)
  }
}

function altered(message: string, script: TaskScript): HubError {
  return new HubError('INTEGRITY', message, {
    at: { scheme: 'hub', op: 'runTopTask', target: script.entry },
    reason: 'SCRIPT_HASH',
  })
}

function folderError(error: unknown, folder: string): HubError {
  const code = (error as NodeJS.ErrnoException).code
  const o = { at: { scheme: 'hub', op: 'runTopTask', target: folder }, cause: error }
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new HubError(
      'STORAGE_FULL',
      `No space left to unpack a task's script in ${folder}; free some, or give another workDir.`,
      o,
    )
  return new HubError(
    'DENIED',
    `A task's script cannot be unpacked in ${folder} (${code ?? String(error)}); give a workDir that this user can write.`,
    o,
  )
}
