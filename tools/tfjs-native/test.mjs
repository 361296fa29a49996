#!/usr/bin/env node
/**
 * Builds @tensorflow/tfjs-node (with --gpu: @tensorflow/tfjs-node-gpu) as install.mjs does, and holds @tensorhub/tfjs to its tests on it:
 *
 *   node tools/tfjs-native/test.mjs [--gpu] [options of vitest]
 *
 * Ends with 1 when the build fails, or a test does, or the tests cannot run.
 */
import { spawnSync } from 'node:child_process'
import { env } from 'node:process'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))

/** Runs a script of this repository; @returns what it wrote to standard output, if that is taken. */
function node(script, args, options) {
  const done = spawnSync(process.execPath, [fileURLToPath(new URL(script, import.meta.url)), ...args], options)
  if (done.error) throw done.error
  if (done.status !== 0) process.exit(done.status ?? 1)
  return done.stdout
}

const args = process.argv.slice(2)
const gpu = args.includes('--gpu') ? ['--gpu'] : []
const written = node('./install.mjs', gpu, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] })
const folder = written.trim().split('\n').at(-1)
const vitest = ['run', '--config', 'vitest.workspace.ts', '--project', '@tensorhub/tfjs', 'native']
node(
  '../bootstrap/run.cjs',
  ['exec', 'node', 'node_modules/vitest/vitest.mjs', ...vitest, ...args.filter((arg) => arg !== '--gpu')],
  {
    cwd: ROOT,
    stdio: 'inherit',
    env: { ...env, TENSORHUB_TF: folder, TENSORHUB_REQUIRE_TFJS_NODE: '1' },
  },
)
