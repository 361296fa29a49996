/**
 * A thread that ends the child's whole process group when its runner is gone: a runner killed by SIGKILL cannot do it, and the main thread may be
 * spinning (measured: children otherwise stay alive). The runner's pid is compared with the parent's, which changes when it dies.
 *
 * A text rather than a file: a worker that loads a module starts the module loader first, which takes longer than a short script does.
 */
export const WATCHDOG = `
const { workerData: runner } = require('node:worker_threads')
setInterval(() => {
  if (process.ppid === runner) return
  try {
    process.kill(-process.pid, 'SIGKILL')
  } catch {
    // Not a group leader (Windows, or started otherwise): then this process alone.
    process.kill(process.pid, 'SIGKILL')
  }
}, 250)
`
