/**
 * The same on TensorFlow itself. In one command, which makes the build too: `node tools/tfjs-native/test.mjs`, and for tfjs-node-gpu
 * `node tools/tfjs-native/test.mjs --gpu`.
 *
 * TENSORHUB_TF names the build (a package or folder to require); without it tfjs-node is taken, or else tfjs-node-gpu. With TENSORHUB_TF or
 * TENSORHUB_REQUIRE_TFJS_NODE=1 its absence is a failure.
 */
import { describe, expect, it } from 'vitest'
import { candidates, requireCandidate } from '../src/backend/candidates.ts'
import { loadTf } from '../src/index.ts'
import { backendSuite } from './suite.ts'

const named = process.env.TENSORHUB_TF
const required = named !== undefined || process.env.TENSORHUB_REQUIRE_TFJS_NODE === '1'
/** The first that loads; two in one process would share an engine. loadTf prefers the other order. */
const module = named ?? candidates(undefined).findLast((candidate) => 'module' in requireCandidate(candidate))?.path

if (required || module !== undefined) {
  backendSuite('tensorflow', async () => {
    const loaded = await loadTf<typeof import('@tensorflow/tfjs')>({
      prefer: 'tensorflow',
      ...(module === undefined ? {} : { module }),
    })
    if (module !== undefined) expect(loaded.from).toBe(module)
    return loaded
  })
} else {
  describe('on tensorflow', () => {
    it.skip('no native build of TensorFlow.js is here: node tools/tfjs-native/install.mjs', () => {})
  })
}
