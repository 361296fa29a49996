// One write and one read of `key`, and what came of them: `node attempt.ts FOLDER [ifAbsent] [user]`. Prints JSON.
// With `user` the process first becomes an ordinary user, where it is root: root may do everything.
import { isHubError, openBlobs } from '@tensorhub/core'
import { fs } from '@tensorhub/fs'

const [, , folder, ...words] = process.argv as [string, string, string, ...string[]]
const blobs = openBlobs(fs({ folder }))
const outcome = async (call: () => Promise<unknown>) => {
  try {
    await call()
    return { code: 'OK', message: '' }
  } catch (error) {
    if (!isHubError(error)) throw error
    return { code: error.code, message: error.message }
  }
}
if (words.includes('user') && process.geteuid?.() === 0) {
  process.setgid?.(65_534)
  process.setuid?.(65_534)
}
const when = words.includes('ifAbsent') ? { when: { ifAbsent: true } as const } : {}
const write = await outcome(() => blobs.write('key', 'new', when))
const read = await outcome(() => blobs.bytes('key'))
console.log(JSON.stringify({ write, read }))
