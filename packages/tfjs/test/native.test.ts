/**
 * The same on TensorFlow itself. `node tools/tfjs-native/install.mjs` makes the build; for tfjs-node-gpu in one command:
 *
 *   TENSORHUB_TF=$(node tools/tfjs-native/install.mjs --gpu) pnpm exec vitest run --project @tensorhub/tfjs native
 */
import { describe, it } from 'vitest'
import { candidates, requireCandidate } from '../src/backend/candidates.ts'
import { loadTf } from '../src/index.ts'
import { backendSuite } from './suite.ts'

const required = process.env.TENSORHUB_REQUIRE_TFJS_NODE === '1'
const there = candidates(process.env.TENSORHUB_TF).some((candidate) => 'module' in requireCandidate(candidate))

if (there || required) {
  backendSuite('tensorflow', () => loadTf<typeof import('@tensorflow/tfjs')>({ prefer: 'tensorflow' }))
} else {
  describe('on tensorflow', () => {
    it.skip('no native build of TensorFlow.js is here: node tools/tfjs-native/install.mjs', () => {})
  })
}
