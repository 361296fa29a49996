/**
 * One process at a time prepares something; the others wait. The lock of a process that died is taken over.
 *
 * The lock is the file `<path>.<n>` with the highest number. It names its holder, and says `free` once that has let go. Whoever finds it free, or its
 * holder dead, makes the next number, which only one process can; so no file that somebody may hold is ever removed or replaced. The
 * highest is never removed either, so that one who was slow notices that time has passed.
 */
'use strict'
const { appendFileSync, linkSync, readFileSync, readdirSync, rmSync, writeFileSync } = require('node:fs')
const { hostname } = require('node:os')
const { basename, dirname } = require('node:path')

const POLL_MS = 200

function pause(ms) {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function isAlive(pid) {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}

/** The numbers that are there, in no order. */
function numbers(path) {
  const prefix = `${basename(path)}.`
  return readdirSync(dirname(path))
    .filter((name) => name.startsWith(prefix) && /^\d+$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
}

/** Who holds this number; `{ free: true }` when nobody does; undefined when it is gone, because there is a higher one. */
function holderOf(file) {
  try {
    const [pid, host, free] = readFileSync(file, 'utf8').split(' ')
    return { pid: Number(pid), host, free: free === 'free' }
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

/** Makes a number; false when another process has made it, or a higher one. */
function make(path, number) {
  const file = `${path}.${number}`
  // Linked into place with its content, so that nobody ever reads an empty one.
  const own = `${path}.${process.pid}.${hostname()}.new`
  try {
    writeFileSync(own, `${process.pid} ${hostname()} `)
    linkSync(own, file)
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(own, { force: true })
  }
  if (Math.max(...numbers(path)) === number) return true
  rmSync(file, { force: true })
  return false
}

/** @returns the file that is held now */
function take(path, say, what) {
  for (let told = false; ; ) {
    const highest = Math.max(0, ...numbers(path))
    const file = `${path}.${highest}`
    const holder = highest === 0 ? { free: true } : holderOf(file)
    if (holder === undefined) continue
    if (holder.free || (holder.host === hostname() && !isAlive(holder.pid))) {
      if (!make(path, highest + 1)) continue
      for (const number of numbers(path)) if (number <= highest) rmSync(`${path}.${number}`, { force: true })
      return `${path}.${highest + 1}`
    }
    if (!told) {
      const where = holder.host === hostname() ? '' : ` on ${holder.host}`
      say(`process ${holder.pid}${where} is preparing ${what}; waiting for it (if it is gone, remove ${file})`)
    }
    told = true
    pause(POLL_MS)
  }
}

/** Runs `work` while holding the lock at `path`; `what` is what it prepares, for the line that those see who wait. */
exports.withLock = (path, say, what, work) => {
  const file = take(path, say, what)
  try {
    return work()
  } finally {
    appendFileSync(file, 'free')
  }
}
