import { execFile } from 'node:child_process'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { inspect, promisify } from 'node:util'
import { type AdapterModule, registerScheme } from '@tensorhub/core'
import { blobsFromUrl, indexFromUrl, memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { originalTarget } from '../src/connect/options.ts'
import { defaultProjectName } from '../src/connect/project-name.ts'
import { resolveSettings } from '../src/connect/settings.ts'
import { type ConnectOptions, TensorHub } from '../src/index.ts'
import { newFolder } from './suite/store-pair.ts'

const run = promisify(execFile)
const SECRET = 'topsecret'

/** All that an error shows, with its causes. */
function shown(error: unknown): string {
  return `${inspect(error, { depth: 9 })} ${error instanceof Error ? `${error.message} ${error.stack} ${JSON.stringify(error)}` : ''}`
}

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('it did not fail')
    },
    (error: unknown) => error as Error,
  )
}

const settings = (url: string | undefined, options: ConnectOptions, cwd: string, env: NodeJS.ProcessEnv = {}) =>
  resolveSettings(url, options, env, cwd)

afterEach(() => vi.unstubAllEnvs())

describe('where a hub is', () => {
  it('a path, or file:///folder: an embedded hub there', async () => {
    const folder = join(await newFolder(), 'hub')
    await using hub = await TensorHub.connect(folder, { projectName: 'p' })
    await hub.saveDataset(1, 'x')
    await using same = await TensorHub.connect(pathToFileURL(folder).href, { projectName: 'p' })
    expect(await same.findTopDataset('x')).toBe(1)
    expect((await readdir(folder)).filter((name) => !name.startsWith('index.db-')).sort()).toEqual([
      'blobs',
      'hub.json',
      'index.db',
      'work',
    ])
    expect(String(hub)).toBe(`TensorHub(project 'p', embedded in ${folder})`)
  })

  it('nothing: ./.tensorhub', async () => {
    const cwd = await newFolder()
    expect((await settings(undefined, {}, cwd)).target).toEqual({ kind: 'folder', folder: join(cwd, '.tensorhub') })
  })

  it('memory: is a new store each time; memory:NAME the same again', async () => {
    await using a = await TensorHub.connect('memory:', { projectName: 'p' })
    await using b = await TensorHub.connect('memory:', { projectName: 'p' })
    await a.saveDataset(1, 'x')
    expect(await b.findTopDataset('x')).toBe(false)
    await using c = await TensorHub.connect('memory:connect-test', { projectName: 'p' })
    await using d = await TensorHub.connect('memory:connect-test', { projectName: 'p' })
    await c.saveDataset(1, 'x')
    expect(await d.findTopDataset('x')).toBe(1)
  })

  it('an index and blobs, by URL each', async () => {
    const folder = await newFolder()
    const stores = { index: `sqlite://${join(folder, 'runs.db')}`, blobs: pathToFileURL(join(folder, 'blobs')).href }
    await using hub = await TensorHub.connect({ ...stores, projectName: 'p', workDir: join(folder, 'work') })
    await hub.saveDataset(new Float32Array(50_000), 'x')
    expect((await readdir(folder)).filter((name) => !/-(wal|shm)$/.test(name)).sort()).toEqual(['blobs', 'runs.db'])
    await using same = await TensorHub.connect({ ...stores, projectName: 'p' })
    expect(await same.findTopDataset('x')).toEqual(new Float32Array(50_000))
  })

  it('driver objects, which stay open when the hub closes unless the hub opened them', async () => {
    const documents = new Map()
    const bytes = new Map()
    for (let i = 0; i < 2; i++) {
      await using hub = await TensorHub.connect({
        index: memoryIndex(documents),
        blobs: memoryBlobs(bytes),
        projectName: 'p',
      })
      await hub.saveDataset(i, 'x')
      expect(await hub.datasets.count()).toBe(i + 1)
      expect(hub.db).toBe(documents)
    }
  })

  it('the original’s form: its parameters name a MongoDB server, and stay readable but for the password', async () => {
    const adapter: AdapterModule = {
      indexFromUrl: () => indexFromUrl('memory:original-form'),
      blobsFromUrl: () => blobsFromUrl('memory:original-form'),
    }
    registerScheme('mongodb', async () => adapter)
    try {
      await using hub = await TensorHub.connect({
        ip: 'localhost',
        dbname: 'temp',
        username: 'ann',
        password: SECRET,
        projectName: 'tutorial',
      })
      expect([hub.ip, hub.port, hub.dbname, hub.username, hub.projectName]).toEqual([
        'localhost',
        27017,
        'temp',
        'ann',
        'tutorial',
      ])
      expect(hub.db).toBeInstanceOf(Map)
      await hub.saveDataset(1, 'x')
      expect(await hub.findTopDataset('x')).toBe(1)
      for (const text of [
        String(hub),
        inspect(hub),
        JSON.stringify(hub),
        inspect(hub.datasets, { depth: 9 }),
        inspect(hub.tasks, { depth: 9 }),
      ])
        expect(text).not.toContain(SECRET)
      expect(String(hub)).toContain('mongodb://***@localhost:27017/temp')
    } finally {
      registerScheme('mongodb', '@tensorhub/mongodb')
    }
  })

  it.each([
    ['mongodb', 'mongodb://localhost/temp'],
    ['mongodb+srv', 'mongodb+srv://cluster/temp'],
    ['s3', { index: 'memory:', blobs: 's3://bucket/prefix' }],
    ['azblob', { index: 'memory:', blobs: 'azblob://container/prefix?account=a' }],
  ])('%s: without its adapter names the package to install', async (scheme, place) => {
    const original = scheme.startsWith('mongodb')
      ? '@tensorhub/mongodb'
      : `@tensorhub/${scheme === 's3' ? 's3' : 'azure'}`
    // The workspace has all adapters; that each scheme asks for its own is a test of core.
    registerScheme(scheme, '@tensorhub/not-installed')
    try {
      const connecting =
        typeof place === 'string'
          ? TensorHub.connect(place, { projectName: 'p' })
          : TensorHub.connect({ ...place, projectName: 'p' })
      await expect(connecting).rejects.toMatchObject({
        code: 'UNSUPPORTED',
        reason: 'PACKAGE_MISSING',
        message: expect.stringContaining('npm i @tensorhub/not-installed'),
      })
    } finally {
      registerScheme(scheme, original)
    }
  })

  it.each([
    ['s3://bucket', 'name an index too'],
    ['gs://bucket', 'name an index too'],
    ['azblob://container', 'name an index too'],
    ['sqlite:///file.db', 'name blobs too'],
    ['ftp://host/x', "'ftp:' names no whole hub"],
    ['file:folder', 'file:///absolute/folder'],
    ['file://host/folder', 'file:///absolute/folder'],
    ['file:///folder?x=1', 'file:///absolute/folder'],
    ['memory:a/b', 'no memory URL'],
    ['', 'empty'],
  ])('%s alone is INVALID and says what to do', async (url, hint) => {
    await expect(TensorHub.connect(url, { projectName: 'p' })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining(hint),
    })
  })

  it('two objects are INVALID, and the message says that there is one', async () => {
    const stores = { index: 'memory:', blobs: 'memory:' }
    await expect(Reflect.apply(TensorHub.connect, TensorHub, [stores, { projectName: 'p' }])).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('connect({ index, blobs, projectName, … })'),
    })
  })

  it('a layer without the other, two forms at once, and a driver in the wrong place are refused', async () => {
    const wrong: readonly (readonly [unknown, unknown?])[] = [
      [{ index: 'memory:' }],
      [{ blobs: 'memory:' }],
      ['memory:', { index: 'memory:', blobs: 'memory:' }],
      [{ ip: 'localhost', index: 'memory:', blobs: 'memory:' }],
      [{ port: 27017 }],
      [{ ip: 'a b' }],
      [{ ip: 'localhost', port: 0 }],
      [{ ip: 'localhost', port: '27017' }],
      [{ ip: 'localhost', dbname: 'a/b' }],
      [{ ip: 'localhost', username: 5 }],
      [{ ip: 'localhost', username: 'ann' }],
      [{ ip: 'localhost', timeout: 0 }],
      [{ ip: 'localhost', timeout: '300' }],
      [{ timeout: 300 }],
      [{ index: memoryBlobs(), blobs: memoryBlobs() }],
      [{ index: memoryIndex(), blobs: memoryIndex() }],
      [{ index: 5, blobs: 'memory:' }],
      [{ index: 'runs.db', blobs: 'memory:' }],
      [{ index: 'file:///x', blobs: 'memory:' }],
      [{ index: 'sqlite:///a%2Fb.db', blobs: 'memory:' }],
      [{ index: 'memory:', blobs: 'file:///a%2Fb' }],
      [{ index: `sqlite:///runs.db?key=${SECRET}`, blobs: 'memory:' }],
      [{ index: 'memory:', blobs: `file://ann:${SECRET}@host/x` }],
      [{ index: `memory:?key=${SECRET}`, blobs: 'memory:' }],
      [5],
      [null],
      [{}, {}],
    ]
    for (const args of wrong) {
      const error = await failureOf(Reflect.apply(TensorHub.connect, TensorHub, args))
      expect(error, JSON.stringify(args)).toMatchObject({
        name: 'HubError',
        code: expect.stringMatching(/^(INVALID|UNSUPPORTED)$/),
      })
      expect(shown(error)).not.toContain(SECRET)
    }
  })
})

describe('options of connect', () => {
  it('unknown names and wrong types are refused by name', async () => {
    const wrong: Readonly<Record<string, unknown>> = {
      project: 'p',
      project_name: 'p',
      url: 'memory:',
      projectName: 5,
      scripts: 'all',
      codecs: [{}],
      workDir: 5,
      collect: 'yes',
      signal: 'now',
    }
    for (const [name, value] of Object.entries(wrong))
      await expect(
        TensorHub.connect('memory:', { projectName: 'p', [name]: value } as object),
        name,
      ).rejects.toMatchObject({ code: 'INVALID', path: name })
  })

  it('a signal that has aborted opens nothing', async () => {
    const folder = join(await newFolder(), 'hub')
    await expect(TensorHub.connect(folder, { projectName: 'p', signal: AbortSignal.abort() })).rejects.toMatchObject({
      code: 'ABORTED',
    })
    await expect(readdir(folder)).rejects.toMatchObject({ code: 'ENOENT' })
    await expect(TensorHub.connect('memory:', { projectName: 'p', signal: AbortSignal.abort() })).rejects.toMatchObject(
      { code: 'ABORTED' },
    )
  })

  it.each(['', ' ', 'a\nb', 'x'.repeat(201), '\ud800', 5])('the project name %j is refused', async (projectName) => {
    await expect(TensorHub.connect('memory:', { projectName } as object)).rejects.toMatchObject({
      code: 'INVALID',
      path: 'projectName',
    })
  })
})

describe('the environment and the config file', () => {
  it('TENSORHUB_URL, or TENSORHUB_INDEX with TENSORHUB_BLOBS, name the hub; one alone is refused', async () => {
    const cwd = await newFolder()
    const of = async (env: NodeJS.ProcessEnv) => (await settings(undefined, {}, cwd, env)).target
    expect(await of({ TENSORHUB_URL: '/data/hub' })).toEqual({ kind: 'folder', folder: '/data/hub' })
    expect(await of({ TENSORHUB_INDEX: 'sqlite:///a.db', TENSORHUB_BLOBS: 's3://b' })).toEqual({
      kind: 'stores',
      index: 'sqlite:///a.db',
      blobs: 's3://b',
    })
    for (const env of [
      { TENSORHUB_INDEX: 'memory:' },
      { TENSORHUB_BLOBS: 'memory:' },
      { TENSORHUB_URL: 'memory:', TENSORHUB_INDEX: 'memory:' },
    ])
      await expect(of(env)).rejects.toMatchObject({ code: 'INVALID', message: expect.stringContaining('TENSORHUB_') })
    vi.stubEnv('TENSORHUB_URL', 'memory:environment')
    await using hub = await TensorHub.connect({ projectName: 'p' })
    expect(String(hub)).toContain('memory:environment')
    await using other = await TensorHub.connect('memory:', { projectName: 'p' })
    expect(String(other)).not.toContain('environment')
  })

  it.each([
    ['json', (value: object) => JSON.stringify(value)],
    ['mjs', (value: object) => `export default ${JSON.stringify(value)}`],
    ['ts', (value: object) => `const config: object = ${JSON.stringify(value)}\nexport default config`],
  ])('tensorhub.config.%s of the nearest folder up to the package’s root', async (type, text) => {
    const root = await newFolder()
    await writeFile(join(root, 'package.json'), '{"name":"pkg"}')
    await writeFile(
      join(root, `tensorhub.config.${type}`),
      text({ url: './data', projectName: 'nets', workDir: './w', collect: false }),
    )
    const deep = join(root, 'src', 'deep')
    await mkdir(deep, { recursive: true })
    expect(await settings(undefined, {}, deep)).toEqual({
      target: { kind: 'folder', folder: join(root, 'data') },
      options: { projectName: 'nets', workDir: join(root, 'w'), collect: false },
    })
    // Arguments win, one by one; the environment wins over the file's stores only.
    expect(await settings('memory:', { projectName: 'mine' }, deep)).toEqual({
      target: { kind: 'stores', index: 'memory:', blobs: 'memory:' },
      options: { projectName: 'mine', workDir: join(root, 'w'), collect: false },
    })
    expect((await settings(undefined, {}, deep, { TENSORHUB_URL: 'memory:' })).options).toMatchObject({
      projectName: 'nets',
    })
    const other = join(root, 'other')
    await mkdir(other)
    await writeFile(join(other, 'package.json'), '{"name":"other"}')
    expect((await settings(undefined, {}, other)).target).toEqual({ kind: 'folder', folder: join(other, '.tensorhub') })
  })

  it('a config file that is wrong says so, and shows nothing of what is in it', async () => {
    const broken: readonly (readonly [string, string])[] = [
      ['json', `{ "url": "mongodb://ann:${SECRET}@host/db" `],
      ['json', '[]x'],
      ['json', '"text"'],
      ['json', '{ "url": 5 }'],
      ['json', '{ "project": "x" }'],
      ['json', '{ "url": "memory:", "index": "memory:", "blobs": "memory:" }'],
      ['mjs', `export default { url: 'mongodb://ann:${SECRET}@host/db'`],
      ['ts', `export default { url: 'mongodb://ann:${SECRET}@host/db' as }`],
      ['mjs', `throw new Error('no mongodb://ann:${SECRET}@host/db')`],
      ['mjs', 'export const config = {}'],
    ]
    const folders: string[] = []
    for (const [type, text] of broken) {
      const folder = await newFolder()
      await writeFile(join(folder, `tensorhub.config.${type}`), text)
      folders.push(folder)
    }
    // In a process of its own, where modules are loaded by Node itself.
    const { stdout } = await run(process.execPath, [
      fileURLToPath(new URL('config-child.ts', import.meta.url)),
      ...folders,
    ])
    const failures = JSON.parse(stdout) as { code: string; message: string; shown: string }[]
    expect(failures).toHaveLength(broken.length)
    for (const [i, { code, message, shown }] of failures.entries()) {
      const [type, text] = broken[i] as readonly [string, string]
      expect(code, text).toBe('INVALID')
      expect(message, text).toContain(`tensorhub.config.${type}`)
      expect(message, text).not.toContain(SECRET)
      if (text.includes('"project"')) expect(message).toContain('url')
      // What the user's own module throws is kept as the cause, as it is.
      if (!text.startsWith('throw')) expect(shown, text).not.toContain(SECRET)
    }
  }, 60_000)
})

describe('defects of the original: connecting', () => {
  it('B1: a user name authenticates, and none (or the original default "None") does not', () => {
    const url = (o: { username?: string | null; password?: string; ip?: string; port?: number }) =>
      originalTarget({ ip: 'localhost', dbname: 'temp', ...o }).index
    expect(url({ username: 'ann', password: 'p@ss/w' })).toBe('mongodb://ann:p%40ss%2Fw@localhost:27017/temp')
    expect(url({ username: null, password: 'password' })).toBe('mongodb://localhost:27017/temp')
    expect(url({ ip: '::1', port: 1, username: 'None' })).toBe('mongodb://[::1]:1/temp')
  })

  it('B2: no secret in errors, nor in what a hub shows', async () => {
    const wrong: readonly (readonly [unknown, unknown?])[] = [
      [`mongodb://ann:${SECRET}@127.0.0.1:1/temp?timeout=300`],
      [`ftp://ann:${SECRET}@host`],
      [`s3://bucket?secretAccessKey=${SECRET}`],
      [`file://ann:${SECRET}@host/x`],
      [{ index: `mongodb://ann:${SECRET}@host/db?timeout=300`, blobs: 'memory:' }],
      [{ index: `http://ann:${SECRET}@host/db`, blobs: 'memory:' }],
      [{ index: 'memory:', blobs: `s3://b?sessionToken=${SECRET}` }],
      [{ ip: 'localhost', port: 1, username: 'ann', password: SECRET, timeout: 300 }],
      [{ ip: 'localhost', username: 'ann', password: SECRET, port: -1 }],
      [{ ip: `ann:${SECRET}@host` }],
      [{ ip: 'localhost', passwort: SECRET }],
    ]
    for (const args of wrong) {
      const error = await failureOf(Reflect.apply(TensorHub.connect, TensorHub, args))
      expect(error).toMatchObject({ name: 'HubError' })
      expect(shown(error)).not.toContain(SECRET)
    }
  })

  it('B3: the default project name is never empty and not cut at dots', async () => {
    const folder = join(await newFolder(), 'my.project')
    await mkdir(join(folder, 'deep'), { recursive: true })
    expect(await defaultProjectName(folder)).toBe('my.project')
    await writeFile(join(folder, 'package.json'), '{"name":"@me/nets"}')
    expect(await defaultProjectName(join(folder, 'deep'))).toBe('@me/nets')
    await writeFile(join(folder, 'deep', 'package.json'), '{"private":true}')
    expect(await defaultProjectName(join(folder, 'deep'))).toBe('@me/nets')
    await writeFile(join(folder, 'deep', 'package.json'), '{"name":')
    await expect(defaultProjectName(join(folder, 'deep'))).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('package.json'),
    })
    expect((await defaultProjectName('/')).length).toBeGreaterThan(0)
    await using hub = await TensorHub.connect('memory:')
    expect(hub.projectName).toBe(await defaultProjectName(process.cwd()))
    await using none = await TensorHub.connect('memory:', { projectName: null })
    expect(none.projectName).toBe(hub.projectName)
  })

  it('B4: connect reaches both stores before it resolves', async () => {
    const folder = await newFolder()
    await writeFile(join(folder, 'hub.json'), '{"format":1}')
    await writeFile(
      join(folder, 'index.db'),
      'this is not a database, only text that is long enough to be read as one'.repeat(50),
    )
    await expect(TensorHub.connect(folder, { projectName: 'p' })).rejects.toMatchObject({ code: 'INTEGRITY' })
    const other = await newFolder()
    await writeFile(join(other, 'hub.json'), '{"format":1}')
    await writeFile(join(other, 'blobs'), 'no folder')
    await expect(TensorHub.connect(other, { projectName: 'p' })).rejects.toMatchObject({ name: 'HubError' })
  })
})
