import { workerData } from 'node:worker_threads'

/**
 * A thread that ends the child's whole process group when its runner is gone: a runner killed by SIGKILL cannot do it, and the main thread may be
 * spinning (measured: children otherwise stay alive). The runner's pid is compared with the parent's, which changes when it dies.
 */
const { parent } = workerData as { parent: number }

setInterval(() => {
  if (process.ppid === parent) return
  try {
    process.kill(-process.pid, 'SIGKILL')
  } catch {
    // Not a group leader (Windows, or started otherwise): then this process alone.
    process.kill(process.pid, 'SIGKILL')
  }
}, 250)
