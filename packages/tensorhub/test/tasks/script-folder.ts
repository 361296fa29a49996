import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { temporaryFolder } from '../temporary-hub.ts'

/** A folder of script files by relative name. @returns a function that gives a file's path. */
export async function scriptFolder(files: Readonly<Record<string, string>>): Promise<(name: string) => string> {
  const folder = await temporaryFolder()
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
  return (name) => join(folder, name)
}

/** One script. */
export async function script(text: string, name = 'script.mjs'): Promise<string> {
  return (await scriptFolder({ [name]: text }))(name)
}
