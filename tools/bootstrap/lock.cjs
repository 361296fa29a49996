/** One process at a time prepares the toolchain; the others wait. The lock of a process that died is taken over. */
'use strict'
const { linkSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } = require('node:fs')
const { hostname } = require('node:os')

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

/** The holder as written by it, or undefined when there is none. */
function holderOf(path) {
  try {
    const [pid, host] = readFileSync(path, 'utf8').split(' ')
    return { pid: Number(pid), host }
  } catch (error) {
    if (error.code === 'ENOENT') return undefined
    throw error
  }
}

/** The lock appears with its content, so that nobody ever reads an empty one. */
function tryTake(path) {
  const own = `${path}.${process.pid}`
  writeFileSync(own, `${process.pid} ${hostname()}`)
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    unlinkSync(own)
  }
}

/** Moves a dead process's lock aside. If another process was faster and holds a fresh one, that is given back. */
function takeOver(path, dead) {
  const aside = `${path}.dead.${process.pid}`
  try {
    renameSync(path, aside)
  } catch (error) {
    if (error.code === 'ENOENT') return
    throw error
  }
  const moved = holderOf(aside)
  if (moved !== undefined && moved.pid !== dead.pid) {
    try {
      linkSync(aside, path)
    } catch (error) {
      if (error.code !== 'EEXIST') throw error
    }
  }
  rmSync(aside, { force: true })
}

/** Runs `work` while holding the lock at `path`. */
exports.withLock = (path, say, work) => {
  let told = false
  while (!tryTake(path)) {
    const holder = holderOf(path)
    if (holder === undefined) continue
    if (holder.host === hostname() && !isAlive(holder.pid)) {
      takeOver(path, holder)
      continue
    }
    if (!told) say(`process ${holder.pid} is preparing the toolchain; waiting for it (if it is gone, remove ${path})`)
    told = true
    pause(POLL_MS)
  }
  try {
    return work()
  } finally {
    rmSync(path, { force: true })
  }
}
