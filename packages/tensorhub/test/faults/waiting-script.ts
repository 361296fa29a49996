import { existsSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'

/** Runs until the file appears; gives its process. */
export default async ({ hyperParameters }: { readonly hyperParameters: { readonly file: string } }) => {
  while (!existsSync(hyperParameters.file)) await delay(20)
  return { pid: process.pid }
}
