import { scriptFolder } from '../tasks/script-folder.ts'

/** A script whose files are larger than what a document keeps: they become a blob. @returns its entry's path. */
export async function largeScript(): Promise<string> {
  const folder = await scriptFolder({
    'main.mjs': "import { text } from './data.mjs'\nexport default () => ({ size: text.length })",
    'data.mjs': `export const text = '${'x'.repeat(200_000)}'`,
  })
  return folder('main.mjs')
}
