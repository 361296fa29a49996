#!/usr/bin/env node
/**
 * Runs a command of this repository on a machine that has nothing but some Node (16 or later) and npm:
 *
 *   node tools/bootstrap/run.cjs demo|test|bench|lint|types|build|pnpm|exec [arguments]
 *
 * Where the Node that runs this is too old, a newer one comes from the npm registry into `.toolchain/`; so does pnpm, in
 * any case. Packages are installed when they are missing or the lockfile changed. Nothing is installed globally, and
 * nothing is fetched when all of it is there, so it works offline from the second time on.
 *
 * Plain JavaScript without dependencies, since it runs before anything else is there.
 */
'use strict'
const { spawn, spawnSync } = require('node:child_process')
const { createHash } = require('node:crypto')
const { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } = require('node:fs')
const { constants } = require('node:os')
const { delimiter, dirname, join, resolve } = require('node:path')
const { withLock } = require('./lock.cjs')
const { nodePackage, pnpmPackage, isNewEnough } = require('./packages.cjs')

/** The repository; its own tests give another. */
const ROOT = resolve(process.env.TENSORHUB_BOOTSTRAP_ROOT || join(__dirname, '..', '..'))
const TOOLCHAIN = join(ROOT, '.toolchain')

/** What each command runs, on the Node chosen; paths are relative to the repository. */
const COMMANDS = {
  demo: ['--disable-warning=ExperimentalWarning', 'examples/mnist-sweep/main.ts'],
  test: ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.workspace.ts'],
  bench: ['--expose-gc', 'bench/main.ts'],
  lint: ['node_modules/@biomejs/biome/bin/biome', 'check', '--error-on-warnings', '.'],
  types: ['node_modules/typescript/bin/tsc', '--noEmit', '-p', 'tsconfig.json'],
  build: ['node_modules/turbo/bin/turbo', 'run', 'build'],
}

class Stop extends Error {}

function say(line) {
  process.stderr.write(`bootstrap: ${line}\n`)
}

/** The environment of the command: the chosen Node and the repository's programs come first on PATH. */
function environment(nodeFolder, pnpmFolder) {
  const env = { ...process.env }
  // What npm tells its own scripts would be taken by pnpm for settings of the user.
  for (const name of Object.keys(env)) {
    if (
      /^npm_(lifecycle|package|command|execpath|node_execpath|config_(prefix|local_prefix|global_prefix|npm_version|user_agent|node_gyp|noproxy|globalconfig|init_module))/i.test(
        name,
      )
    ) {
      delete env[name]
    }
  }
  const key = Object.keys(env).find((name) => name.toUpperCase() === 'PATH') || 'PATH'
  env[key] = [nodeFolder, pnpmFolder, join(ROOT, 'node_modules', '.bin'), env[key]].filter(Boolean).join(delimiter)
  // The build tool reports its use to its maker unless told not to.
  env.TURBO_TELEMETRY_DISABLED = '1'
  return env
}

/** Fetches one package into its own folder of the toolchain; a fetch that was interrupted leaves nothing that counts. */
function fetched(name, version, why) {
  const folder = join(TOOLCHAIN, `${name.replace(/[@/]/g, '_')}-${version}`)
  const inside = join(folder, 'node_modules', name)
  if (existsSync(join(inside, 'package.json'))) return inside
  say(`${why}: fetching ${name}@${version} from the npm registry into .toolchain (nothing is installed globally)`)
  // Only the holder of the lock fetches, so these are of processes that were killed.
  for (const left of readdirSync(TOOLCHAIN).filter((entry) => entry.endsWith('.tmp')))
    rmSync(join(TOOLCHAIN, left), { recursive: true, force: true })
  const aside = `${folder}.${process.pid}.tmp`
  mkdirSync(aside)
  const args = [
    'install',
    '--prefix',
    aside,
    '--no-save',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
    '--force',
    `${name}@${version}`,
  ]
  const npm = npmCommand()
  const done = spawnSync(npm.program, [...npm.args, ...args], { cwd: aside, stdio: ['ignore', 2, 2], shell: npm.shell })
  if (done.error || done.status !== 0 || !existsSync(join(aside, 'node_modules', name, 'package.json'))) {
    rmSync(aside, { recursive: true, force: true })
    throw new Stop(
      `could not fetch ${name}@${version} (${done.error ? done.error.message : `npm ended with ${done.status === null ? done.signal : done.status}`}). ` +
        'Check the connection to the npm registry, or install Node 24 or later yourself and try again.',
    )
  }
  rmSync(folder, { recursive: true, force: true })
  renameSync(aside, folder)
  return inside
}

/** The npm that came with this Node, or the one on PATH. */
function npmCommand() {
  const given = process.env.npm_execpath
  if (given && /npm-cli\.js$/.test(given) && existsSync(given))
    return { program: process.execPath, args: [given], shell: false }
  return process.platform === 'win32'
    ? { program: 'npm.cmd', args: [], shell: true }
    : { program: 'npm', args: [], shell: false }
}

function ensureNode() {
  if (isNewEnough(process.versions.node)) return process.execPath
  const { name, version, binary } = nodePackage(process.platform, process.arch)
  const folder = fetched(name, version, `Node ${process.versions.node} is older than 24`)
  return join(folder, binary)
}

function ensurePnpm() {
  const { name, version, binary } = pnpmPackage(process.platform, process.arch, process.report)
  return join(fetched(name, version, 'pnpm'), binary)
}

/** Installs the packages of the lockfile, unless exactly they are there. */
function ensurePackages(pnpm, env) {
  const stamp = join(TOOLCHAIN, 'installed')
  const want = fingerprint()
  const have = existsSync(stamp) ? readFileSync(stamp, 'utf8') : ''
  if (have === want && existsSync(join(ROOT, 'node_modules', '.modules.yaml'))) return
  say('installing the packages of pnpm-lock.yaml')
  // What was installed before no longer counts, even if this is interrupted and the lockfile then changes back.
  rmSync(stamp, { force: true })
  const done = spawnSync(pnpm, ['install', '--frozen-lockfile', '--config.confirmModulesPurge=false'], {
    cwd: ROOT,
    env,
    stdio: ['ignore', 2, 2],
  })
  if (done.error) throw new Stop(`cannot start pnpm (${pnpm}): ${done.error.message}`)
  if (done.status !== 0)
    throw new Stop(
      `pnpm install ended with ${done.status === null ? done.signal : done.status}; its reason stands above`,
    )
  writeFileSync(stamp, want)
}

/** Changes with the lockfile and with the set of packages of the workspace, which decides the links that pnpm makes. */
function fingerprint() {
  const hash = createHash('sha256')
  for (const file of ['pnpm-lock.yaml', 'pnpm-workspace.yaml', 'package.json']) {
    if (existsSync(join(ROOT, file)))
      hash
        .update(file)
        .update('\0')
        .update(readFileSync(join(ROOT, file)))
        .update('\0')
  }
  for (const group of ['packages', 'examples', 'tools']) {
    if (!existsSync(join(ROOT, group))) continue
    for (const name of readdirSync(join(ROOT, group)).sort()) {
      const manifest = join(ROOT, group, name, 'package.json')
      if (!existsSync(manifest)) continue
      const { dependencies, devDependencies, peerDependencies } = JSON.parse(readFileSync(manifest, 'utf8'))
      hash.update(`${group}/${name}\0${JSON.stringify([dependencies, devDependencies, peerDependencies])}\0`)
    }
  }
  return hash.digest('hex')
}

/** Runs the command in the foreground; signals reach it, and its end is ours. */
function handOver(program, args, env) {
  const child = spawn(program, args, { cwd: ROOT, env, stdio: 'inherit' })
  const forward = (signal) => child.kill(signal)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, forward)
  child.on('error', (error) => {
    say(`cannot start ${program}: ${error.message}`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    process.exit(code === null ? 128 + (constants.signals[signal] || 0) : code)
  })
}

function main([command, ...rest]) {
  const known = [...Object.keys(COMMANDS), 'pnpm', 'exec']
  if (!known.includes(command)) throw new Stop(`no command '${command || ''}'; there are ${known.join(', ')}`)
  if (command === 'exec' && rest.length === 0)
    throw new Stop('exec needs a program: node tools/bootstrap/run.cjs exec node script.ts')
  mkdirSync(TOOLCHAIN, { recursive: true })
  const { node, pnpm, env } = withLock(join(TOOLCHAIN, 'lock'), say, 'the toolchain', () => {
    const node = ensureNode()
    const pnpm = ensurePnpm()
    const env = environment(dirname(node), dirname(pnpm))
    ensurePackages(pnpm, env)
    return { node, pnpm, env }
  })
  if (command === 'pnpm') return handOver(pnpm, rest, env)
  if (command === 'exec') return handOver(rest[0] === 'node' ? node : rest[0], rest.slice(1), env)
  handOver(node, [...COMMANDS[command], ...rest], env)
}

try {
  main(process.argv.slice(2))
} catch (error) {
  if (!(error instanceof Stop)) throw error
  say(error.message)
  process.exitCode = 1
}
