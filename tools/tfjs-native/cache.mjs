/** Where the native builds of TensorFlow.js are kept. Plain JavaScript: it runs before anything else is installed. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'

export const TFJS_VERSION = '4.22.0'

/** The folder for everything TensorHub keeps between runs on one machine. */
export function cacheFolder() {
  return env.TENSORHUB_CACHE || join(homedir(), '.cache', 'tensorhub')
}

export function packageName(gpu) {
  return gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node'
}

/** The folder to `require()`: a package of that name with its addon built. */
export function packageFolder(gpu) {
  const name = packageName(gpu)
  return join(cacheFolder(), 'tfjs-native', `${name.split('/')[1]}-${TFJS_VERSION}`, 'node_modules', name)
}
