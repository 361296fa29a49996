import { readFile, writeFile } from 'node:fs/promises'
import { arch, cpus, platform, release, totalmem } from 'node:os'

/** What the figures were measured on. */
export function machine(): string {
  const processors = cpus()
  return `Node ${process.version}, ${processors.length} × ${processors[0]?.model.trim() ?? 'unknown processor'}, ${Math.round(totalmem() / 2 ** 30)} GiB, ${platform()} ${release()} ${arch()}`
}

export const HEAD = '| path | baseline, same run | bar | measured | behind it |\n|---|---|---|---|---|'

const START = '<!-- bench:start -->'
const END = '<!-- bench:end -->'

/**
 * Puts a text between the two markers of a Markdown file; what stood there is replaced.
 *
 * @throws Error when the file does not hold both markers, once each and in order.
 */
export async function writeBetweenMarkers(file: string, text: string): Promise<void> {
  const old = await readFile(file, 'utf8')
  const start = old.indexOf(START)
  const end = old.indexOf(END)
  if (start < 0 || end < start || old.lastIndexOf(START) !== start || old.lastIndexOf(END) !== end)
    throw new Error(`${file} needs one line ${START} and below it one line ${END}; the table goes between them.`)
  await writeFile(file, `${old.slice(0, start + START.length)}\n${text}\n${old.slice(end)}`)
}
