// Preloaded into a process: a file system without hard links (vfat, some network and overlay mounts), for every module of it. The kernels that tests
// run on often have no such file system to mount, so the call itself is taken away: EPERM is what Linux gives there.
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'

const refused = (source, target) =>
  Object.assign(new Error(`EPERM: operation not permitted, link '${source}' -> '${target}'`), {
    code: 'EPERM',
    errno: -1,
    syscall: 'link',
  })

fs.promises.link = async (source, target) => {
  throw refused(source, target)
}
fs.link = (source, target, done) => process.nextTick(done, refused(source, target))
fs.linkSync = (source, target) => {
  throw refused(source, target)
}
syncBuiltinESMExports()
