#!/usr/bin/env node
/**
 * Builds a working @tensorflow/tfjs-node (or, with --gpu, @tensorflow/tfjs-node-gpu) in a cache folder.
 *
 * The packages download libtensorflow from a storage bucket while they install, which fails wherever only package
 * registries are reached, and they have no build for current versions of Node. Their binding is a small N-API addon over
 * TensorFlow's C API, and the TensorFlow wheel on PyPI exports that API; so this takes the wheel, links the addon to it and
 * leaves a package that loads by its folder's name.
 *
 *   node tools/tfjs-native/install.mjs [--gpu] [--force]
 *
 * Prints the package's folder as its last line on standard output; everything else goes to standard error. Runs on
 * Node 20 and later, Linux x64 and arm64. Exits with 1 and a reason when something it needs is missing. What was
 * interrupted leaves nothing that counts, and of two at once the second waits for the first.
 * The cache is `~/.cache/tensorhub`, or the folder that TENSORHUB_CACHE names.
 */
import { spawnSync } from 'node:child_process'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { env } from 'node:process'
import { fileURLToPath } from 'node:url'
import { cacheFolder, packageFolder, packageName, TFJS_VERSION } from './cache.mjs'

const { withLock } = createRequire(import.meta.url)('../bootstrap/lock.cjs')

const TENSORFLOW_VERSION = '2.21.0'
const NODE_GYP_VERSION = '12.1.0'
/** Any Python with a wheel will do: only the shared libraries and headers of the wheel are used. */
const WHEEL_PYTHON = '3.12'

class Stop extends Error {}

function say(line) {
  process.stderr.write(`tfjs-native: ${line}\n`)
}

/** Runs a program to its end; its output is shown only when it fails. */
function run(program, args, { cwd, what }) {
  const done = spawnSync(program, args, { cwd, encoding: 'utf8', maxBuffer: 256 * 1024 * 1024 })
  if (done.error) throw new Stop(`${what}: cannot start ${program}: ${done.error.message}`)
  if (done.status !== 0) {
    const tail = `${done.stdout}\n${done.stderr}`.trim().split('\n').slice(-25).join('\n')
    throw new Stop(`${what}: ${program} ended with ${done.status ?? done.signal}\n${tail}`)
  }
  return done.stdout
}

function works(program, args) {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

function firstThatWorks(candidates, args) {
  return candidates.find((candidate) => candidate && works(candidate, args))
}

function checkMachine() {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new Stop(
      `this tool builds for Linux on x64 and arm64, and this is ${process.platform} on ${process.arch}. ` +
        `Install ${packageName(false)} in the ordinary way, or stay with the wasm backend.`,
    )
  }
  const python = firstThatWorks(
    [env.PYTHON, 'python3', 'python'],
    ['-c', 'import sys; assert sys.version_info >= (3, 8)'],
  )
  if (!python)
    throw new Stop(
      'no Python 3.8 or newer was found (python3): node-gyp and the TensorFlow wheel need it. Install python3, or name one by PYTHON.',
    )
  if (!firstThatWorks([env.CXX, 'g++', 'c++', 'clang++'], ['--version'])) {
    throw new Stop(
      'no C++ compiler was found (g++ or clang++). Install one: on Debian and Ubuntu `apt-get install g++ make`.',
    )
  }
  if (!works('make', ['--version']))
    throw new Stop('`make` was not found. Install it: on Debian and Ubuntu `apt-get install make`.')
  return python
}

/** A Python that has pip: the one given, or a virtual environment of it in `scratch`. */
function pythonWithPip(python, scratch) {
  if (works(python, ['-m', 'pip', '--version'])) return python
  const environment = join(scratch, 'pip')
  say('python has no pip: making a virtual environment that has')
  run(python, ['-m', 'venv', environment], {
    what: 'making a virtual environment (on Debian and Ubuntu: `apt-get install python3-venv`)',
  })
  return join(environment, 'bin', 'python')
}

/** Puts a finished folder into its place, instead of what may be there. */
function moveIntoPlace(from, to) {
  mkdirSync(dirname(to), { recursive: true })
  rmSync(to, { recursive: true, force: true })
  renameSync(from, to)
}

/** The folder that holds TensorFlow's libraries and headers, taken from its wheel when it is not in the cache yet. */
function tensorflowFolder(python, scratch, gpu) {
  const cuda = gpu && existsSync('/dev/nvidia0')
  if (gpu && !cuda)
    say(
      'no NVIDIA device on this machine (/dev/nvidia0): the GPU package is linked to the CPU library; it runs, on the CPU',
    )
  const wheel = cuda ? 'tensorflow[and-cuda]' : process.arch === 'x64' ? 'tensorflow-cpu' : 'tensorflow'
  const folder = join(cacheFolder(), 'tfjs-native', `${wheel.replace(/\W+/g, '-')}-${TENSORFLOW_VERSION}`)
  const tensorflow = join(folder, 'tensorflow')
  if (existsSync(join(tensorflow, 'libtensorflow_cc.so.2'))) return tensorflow
  const target = join(scratch, 'wheel')
  say(`fetching ${wheel} ${TENSORFLOW_VERSION} from PyPI (about 280 MB to fetch, 1 GB unpacked; once)`)
  run(
    pythonWithPip(python, scratch),
    [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile', '--target', target],
      ...['--only-binary=:all:', '--python-version', WHEEL_PYTHON, '--implementation', 'cp'],
      ...(cuda ? [] : ['--no-deps']),
      `${wheel}==${TENSORFLOW_VERSION}`,
    ],
    { what: 'fetching TensorFlow from PyPI' },
  )
  if (!existsSync(join(target, 'tensorflow', 'libtensorflow_cc.so.2'))) {
    throw new Stop(
      `the wheel ${wheel} ${TENSORFLOW_VERSION} has no libtensorflow_cc.so.2; this tool knows no other layout`,
    )
  }
  moveIntoPlace(target, folder)
  return tensorflow
}

/** `--nodedir` for node-gyp: a prefix whose `include/node` has the headers; undefined lets node-gyp download them. */
function headersPrefix() {
  const own = dirname(dirname(process.execPath))
  const candidates = [env.npm_config_nodedir, own, '/usr', '/usr/local']
  return candidates.find((prefix) => prefix && existsSync(join(prefix, 'include', 'node', 'node_api.h')))
}

function npm() {
  const beside = join(dirname(process.execPath), 'npm')
  const program = firstThatWorks([existsSync(beside) ? beside : undefined, 'npm'], ['--version'])
  if (!program) throw new Stop('npm was not found; it comes with Node.')
  return program
}

function build(name, tensorflow, scratch) {
  const root = join(scratch, 'package')
  mkdirSync(root, { recursive: true })
  writeFileSync(join(root, 'package.json'), `${JSON.stringify({ name: 'tensorhub-tfjs-native', private: true })}\n`)
  say(`installing ${name} ${TFJS_VERSION} and node-gyp from npm`)
  run(
    npm(),
    [
      'install',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
      '--loglevel=error',
      `${name}@${TFJS_VERSION}`,
      `node-gyp@${NODE_GYP_VERSION}`,
    ],
    { cwd: root, what: `installing ${name} from npm` },
  )
  const home = join(root, 'node_modules', name)
  const libraries = join(home, 'deps', 'lib')
  const addon = join(home, 'lib', 'napi-v8')
  mkdirSync(libraries, { recursive: true })
  mkdirSync(addon, { recursive: true })
  symlinkSync(join(tensorflow, 'include'), join(home, 'deps', 'include'))
  for (const [library, linkName] of [
    ['libtensorflow_cc.so.2', 'libtensorflow.so'],
    ['libtensorflow_framework.so.2', 'libtensorflow_framework.so'],
  ]) {
    symlinkSync(join(tensorflow, library), join(libraries, library))
    symlinkSync(library, join(libraries, linkName))
  }
  const prefix = headersPrefix()
  say(
    prefix
      ? `compiling the addon with the headers in ${prefix}/include/node`
      : 'compiling the addon; node-gyp fetches Node’s headers',
  )
  run(
    process.execPath,
    [
      join(root, 'node_modules', 'node-gyp', 'bin', 'node-gyp.js'),
      'rebuild',
      ...(prefix ? [`--nodedir=${prefix}`] : []),
      ...['--module_name=tfjs_binding', '--module_path=./lib/napi-v8', '--napi_version=8', '--napi_build_version=8'],
    ],
    { cwd: home, what: 'compiling the addon' },
  )
  copyFileSync(join(home, 'build', 'Release', 'tfjs_binding.node'), join(addon, 'tfjs_binding.node'))
  rmSync(join(home, 'build'), { recursive: true, force: true })
  return root
}

/** Trains a small model in a process of its own: a build that loads but cannot train is no build. */
function tryOut(folder) {
  const script = fileURLToPath(new URL('./try-out.cjs', import.meta.url))
  return run(process.execPath, [script, folder], { what: 'training a model with what was built' }).trim()
}

/** What is said of a finished build; undefined when there is none, or when the libraries it was linked to are gone. */
function finished(prefix, folder) {
  const stamp = join(prefix, 'built.json')
  if (!existsSync(stamp) || !existsSync(join(folder, 'deps', 'lib', 'libtensorflow.so'))) return undefined
  return JSON.parse(readFileSync(stamp, 'utf8'))
}

function main(args) {
  const unknown = args.filter((arg) => arg !== '--gpu' && arg !== '--force')
  if (unknown.length > 0) throw new Stop(`unknown argument ${unknown[0]}; it takes --gpu and --force`)
  const gpu = args.includes('--gpu')
  const folder = join(cacheFolder(), 'tfjs-native')
  mkdirSync(folder, { recursive: true })
  withLock(join(folder, 'lock'), say, 'a build of TensorFlow.js', () => install(gpu, args.includes('--force'), folder))
  process.stdout.write(`${packageFolder(gpu)}\n`)
}

function install(gpu, force, folder) {
  const name = packageName(gpu)
  const prefix = join(folder, `${name.split('/')[1]}-${TFJS_VERSION}`)
  const there = force ? undefined : finished(prefix, packageFolder(gpu))
  if (there) {
    say(`${name} ${TFJS_VERSION} is in the cache already (built on ${there.node}: ${there.said})`)
    return
  }
  const started = Date.now()
  const python = checkMachine()
  // Only the holder of the lock builds, so these are of processes that were killed.
  for (const left of readdirSync(folder).filter((entry) => entry.startsWith('building-')))
    rmSync(join(folder, left), { recursive: true, force: true })
  const scratch = join(folder, `building-${process.pid}`)
  mkdirSync(scratch)
  try {
    const root = build(name, tensorflowFolder(python, scratch, gpu), scratch)
    const said = tryOut(join(root, 'node_modules', name))
    writeFileSync(join(root, 'built.json'), `${JSON.stringify({ node: process.version, said })}\n`)
    moveIntoPlace(root, prefix)
    say(`${name} ${TFJS_VERSION} is ready after ${Math.round((Date.now() - started) / 1000)} s: ${said}`)
  } finally {
    rmSync(scratch, { recursive: true, force: true })
  }
}

try {
  main(process.argv.slice(2))
} catch (error) {
  say(error instanceof Stop ? error.message : error.stack)
  process.exitCode = 1
}
