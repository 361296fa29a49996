import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CreateBucketCommand, GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { BlobServiceClient } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { type Document, MongoClient, MongoServerError } from 'mongodb'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startAzurite } from '../azure.ts'
import { findEngine } from '../container/engine.ts'
import { AZURITE_IMAGE, FAKE_GCS_IMAGE, MONGO_IMAGE, VERSITYGW_IMAGE, withRegistry } from '../container/images.ts'
import { startGcs, startMongo, startS3 } from '../index.ts'
import { FAKE_GCS, SECANTUS, VERSITYGW } from '../install/recipes.ts'
import { type LocatedProgram, locate, ServerMissing } from '../locate.ts'
import { mongodLaunch, takesWrites } from '../mongod.ts'
import type { RunningServer } from '../server.ts'
import { SOURCES, type Sources } from '../sources.ts'
import { serverSuite } from '../suites/suite.ts'
import { type StandInConfig, type StandInImage, StandInState } from './engine/state.ts'

const HERE = fileURLToPath(new URL('engine', import.meta.url))
const HTTP: StandInImage = { command: [process.execPath, join(HERE, 'http-server.mjs')] }
const GCS_REF = withRegistry(FAKE_GCS_IMAGE)
const BYTES = Buffer.alloc(100_000, 'kept')

/** The programs that the stand-in runs as its images, found before this machine is made to look empty. */
async function native(sources: Sources & { readonly image?: undefined }): Promise<LocatedProgram | undefined> {
  if (process.env['TENSORHUB_SERVERS'] === 'none') return undefined
  return await locate(sources).catch((error: unknown) => {
    if (error instanceof ServerMissing) return undefined
    throw error
  })
}
const NATIVE = {
  mongodb: await native({ programs: [SECANTUS] }),
  s3: await native({ programs: [VERSITYGW] }),
  gcs: await native({ programs: [FAKE_GCS] }),
  azure: await native({ npm: SOURCES.azure.npm }),
}

let folder: string
let state: StandInState
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorhub-engine-'))
  state = new StandInState(join(folder, 'state'))
  for (const name of [
    'TENSORHUB_SERVERS',
    ...['MONGODB', 'S3', 'GCS', 'AZURE'].map((one) => `TENSORHUB_TEST_${one}`),
  ]) {
    vi.stubEnv(name, '')
  }
  vi.stubEnv('TENSORHUB_CACHE', join(folder, 'cache'))
  vi.stubEnv('PATH', join(folder, 'bin'))
})
afterEach(async () => {
  for (const id of state.list('containers')) await standIn('rm', '--force', id)
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

function onPath(name: string, text: string): void {
  mkdirSync(join(folder, 'bin'), { recursive: true })
  writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${text}\n`)
  chmodSync(join(folder, 'bin', name), 0o755)
}
/** An engine of which these images are on this machine. */
function engine(config: Partial<StandInConfig> = {}, name = 'docker'): void {
  state.write({ images: {}, registry: {}, ...config }, 'config.json')
  onPath(name, `TENSORHUB_STAND_IN='${state.root}' exec '${process.execPath}' '${join(HERE, 'stand-in.ts')}' "$@"`)
}
async function standIn(...args: string[]): Promise<void> {
  const env = { ...process.env, TENSORHUB_STAND_IN: state.root }
  await once(spawn(process.execPath, [join(HERE, 'stand-in.ts'), ...args], { env, stdio: 'ignore' }), 'exit')
}
const callsOf = (verb: string) => state.calls.filter(([first]) => first === verb)
const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
const left = () => ({ containers: state.list('containers'), volumes: state.list('volumes') })
const NOTHING = { containers: [], volumes: [] }
const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => expect.unreachable(),
    (error: Error) => error,
  )

describe('a container engine is looked for', () => {
  it('after an install that is not possible, and its image is pulled once', async () => {
    engine({ registry: { [GCS_REF]: HTTP } })
    expect(await locate(SOURCES.gcs)).toMatchObject({
      ...{ from: 'container', name: 'fake-gcs-server 1.56.1', engine: { name: 'docker' } },
    })
    expect((await locate(SOURCES.gcs)).from).toBe('container')
    expect(callsOf('pull')).toEqual([['pull', '--quiet', 'docker.io/fsouza/fake-gcs-server:1.56.1']])
  })

  it('after an install that failed', async () => {
    engine({ images: { [GCS_REF]: HTTP } })
    onPath('go', 'echo "no network" >&2; exit 1')
    expect((await locate(SOURCES.gcs)).from).toBe('container')
  })

  it('not where a program is there', async () => {
    engine({ images: { [GCS_REF]: HTTP } })
    onPath('fake-gcs-server', 'exit 0')
    expect((await locate(SOURCES.gcs)).from).toBe('PATH')
    expect(state.calls).toEqual([])
  })

  it('only for what has an image: a moto or a mongo-java-server is missing all the same', async () => {
    engine()
    for (const kind of ['moto', 'mongodb-java', 'mongodb-python'] as const) {
      await expect(locate(SOURCES[kind])).rejects.toThrow(ServerMissing)
    }
    expect(state.calls).toEqual([])
  })

  it('Azurite, where its npm package is not installed', async () => {
    engine({ images: { [withRegistry(AZURITE_IMAGE)]: HTTP } })
    const npm = { ...SOURCES.azure.npm, module: 'not-installed' }
    expect((await locate(SOURCES.azure)).from).toBe('npm')
    expect((await locate({ ...SOURCES.azure, npm })).from).toBe('container')
  })

  it('podman, where docker is not there or its daemon does not answer', async () => {
    engine({ images: { [GCS_REF]: HTTP } }, 'podman')
    expect(await locate(SOURCES.gcs)).toMatchObject({ engine: { name: 'podman' } })
    onPath('docker', 'echo "Cannot connect to the Docker daemon at unix:///var/run/docker.sock." >&2; exit 1')
    expect(await locate(SOURCES.gcs)).toMatchObject({ engine: { name: 'podman' } })
  })

  it('an engine without its daemon is named with what it said, and with the command', async () => {
    engine({ fails: 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock.' })
    const { name, message } = await failureOf(startGcs())
    expect(name).toBe('ServerMissing')
    expect(message).toContain('go is missing for its install. To get it: go install')
    expect(message).toContain('docker is on PATH but does not answer (docker ps: Error: Cannot connect to the Docker')
    expect(message).toContain('To get it: docker pull docker.io/fsouza/fake-gcs-server:1.56.1')
  })

  it('one that hangs is given up', async () => {
    onPath('docker', 'while :; do :; done')
    expect(await findEngine({ withinMs: 300 })).toEqual({
      none: 'docker is on PATH but does not answer (docker ps: no answer within 0.3 s)',
    })
  })

  it('an image that can’t be pulled: what the engine said, and the command', async () => {
    engine({}, 'podman')
    const { name, message } = await failureOf(startS3())
    expect(name).toBe('ServerMissing')
    expect(message).toContain('podman pull: Error: pull access denied for docker.io/versity/versitygw:v1.8.0')
    expect(message).toContain('To get it: podman pull docker.io/versity/versitygw:v1.8.0')
    expect(left()).toEqual(NOTHING)
  })

  it('TENSORHUB_SERVERS=cached pulls nothing; an image that is on the machine is as good as a program in the cache', async () => {
    vi.stubEnv('TENSORHUB_SERVERS', 'cached')
    engine({ registry: { [GCS_REF]: HTTP } })
    await expect(locate(SOURCES.gcs)).rejects.toThrow(/TENSORHUB_SERVERS=cached forbids to pull it/)
    expect(callsOf('pull')).toEqual([])
    engine({ images: { [GCS_REF]: HTTP } })
    expect((await locate(SOURCES.gcs)).from).toBe('container')
  })
})

interface Case {
  readonly kind: keyof typeof NATIVE
  readonly name: string
  readonly image: string
  readonly takes?: 'mongod'
  start(): Promise<RunningServer>
  /** Stores and reads by the SDK that people use. */
  use(server: RunningServer): { put(): Promise<unknown>; got(): Promise<Buffer | undefined> }
  /** Whether it keeps its data at once. */
  readonly keeps: boolean
}
const inMongo = (server: RunningServer) => {
  const { urlOf } = server as Awaited<ReturnType<typeof startMongo>>
  const inCollection = async <T>(work: (client: MongoClient) => Promise<T>) => {
    const client = new MongoClient(urlOf('kept'))
    try {
      return await work(client)
    } finally {
      await client.close()
    }
  }
  return {
    put: () => inCollection((client) => client.db().collection('kept').insertOne({ bytes: BYTES })),
    got: () =>
      inCollection(async (client) => {
        const document = await client.db().collection('kept').findOne()
        return document === null ? undefined : Buffer.from(document['bytes'].buffer)
      }),
  }
}
const inGcs = (server: RunningServer) => {
  const { endpoint, projectId } = server as Awaited<ReturnType<typeof startGcs>>
  const storage = new Storage({ apiEndpoint: endpoint, projectId })
  return {
    async put() {
      await storage.createBucket('kept')
      await storage.bucket('kept').file('kept').save(BYTES, { resumable: false })
    },
    got: async () => (await storage.bucket('kept').file('kept').download())[0],
  }
}
const CASES: readonly Case[] = [
  {
    ...{ kind: 'gcs', name: 'fake-gcs-server on files', image: GCS_REF, use: inGcs, keeps: true },
    start: () => startGcs({ backend: 'filesystem' }),
  },
  {
    ...{ kind: 'gcs', name: 'fake-gcs-server in memory', image: GCS_REF, use: inGcs, keeps: false },
    start: () => startGcs(),
  },
  {
    ...{ kind: 's3', name: 'versitygw', image: withRegistry(VERSITYGW_IMAGE), keeps: true },
    start: () => startS3(),
    use(server) {
      const { endpoint, region, accessKeyId, secretAccessKey } = server as Awaited<ReturnType<typeof startS3>>
      const credentials = { accessKeyId, secretAccessKey }
      const client = new S3Client({ endpoint, region, credentials, forcePathStyle: true })
      return {
        async put() {
          await client.send(new CreateBucketCommand({ Bucket: 'kept' }))
          await client.send(new PutObjectCommand({ Bucket: 'kept', Key: 'kept', Body: BYTES }))
        },
        async got() {
          const { Body } = await client.send(new GetObjectCommand({ Bucket: 'kept', Key: 'kept' }))
          return Buffer.from((await Body?.transformToByteArray()) ?? [])
        },
      }
    },
  },
  {
    ...{ kind: 'azure', name: 'Azurite', image: withRegistry(AZURITE_IMAGE), keeps: false },
    start: async () => startAzurite(await locate({ image: AZURITE_IMAGE })),
    use(server) {
      const { connectionString } = server as Awaited<ReturnType<typeof startAzurite>>
      const container = BlobServiceClient.fromConnectionString(connectionString).getContainerClient('kept')
      return {
        async put() {
          await container.create()
          await container.getBlockBlobClient('kept').uploadData(BYTES)
        },
        got: () => container.getBlockBlobClient('kept').downloadToBuffer(),
      }
    },
  },
  // SecantusDB stands in for mongod: what a mongod does with its arguments is not seen here.
  ...[
    { name: 'a mongod', o: {} },
    { name: 'a standalone mongod', o: { standalone: true } },
    { name: 'a mongod with a user', o: { auth: { username: 'us/er', password: 'p@ss:word' } } },
  ].map(
    ({ name, o }): Case => ({
      ...{ kind: 'mongodb', name, image: withRegistry(MONGO_IMAGE), takes: 'mongod', keeps: true },
      ...{ start: () => startMongo(o), use: inMongo },
    }),
  ),
]

for (const { kind, name, image, takes, start, use, keeps } of CASES) {
  await serverSuite(
    kind,
    `${name} in a container of a stand-in engine`,
    () => {
      it.skipIf(NATIVE[kind] === undefined)('starts, is killed, starts again and stops, by its id', async () => {
        const command = NATIVE[kind]?.command ?? ['none']
        engine({ images: { [image]: { command, ...(takes === undefined ? {} : { takes }) } } })
        const server = await start()
        try {
          const { port } = server
          expect(server).toMatchObject({ ours: true, host: '127.0.0.1', from: 'container' })
          expect(server.name).toMatch(/ \(docker\)$/)
          // A user is made by a start of its own, whose container is gone.
          const before = state.list('containers')
          expect(before).toHaveLength(1)
          const { put, got } = use(server)
          await put()
          expect(await got()).toEqual(BYTES)
          await expect(server.start()).rejects.toThrow(/running already/)
          await server.kill()
          expect(state.list('containers')).toEqual([])
          expect(callsOf('kill').at(-1)).toEqual(['kill', before[0]])
          expect(await answers(port)).toBe(false)
          await server.start()
          expect(server.port).toBe(port)
          if (keeps) expect(await got()).toEqual(BYTES)
          const [last] = state.list('containers')
          const stops = callsOf('stop').length
          await server.stop()
          await server.stop()
          expect(callsOf('stop').slice(stops)).toEqual([['stop', '-t', '5', last]])
          expect(left()).toEqual(NOTHING)
          expect(await answers(port)).toBe(false)
          expect(existsSync(server.folder)).toBe(false)
          for (const call of callsOf('create')) {
            expect(call).toContain('--rm')
            expect(call).toContain(`127.0.0.1:${port}:${port}`)
            expect(call.join(' ')).not.toMatch(/secret|p@ss|--name|--network/)
          }
        } finally {
          await server.stop()
        }
      })
    },
    { ours: true },
  )
}

describe('a container', () => {
  it('is ready when its server answers: its engine accepts connections before', async () => {
    engine({ images: { [GCS_REF]: HTTP } })
    const server = await startGcs()
    const said = async () => await (await fetch(server.endpoint)).text()
    expect(await said()).toBe('here')
    await server.kill()
    await server.start()
    expect(await said()).toBe('here')
    await server.stop()
  })

  it('that ends before it is ready: the end of its log, and nothing stays', async () => {
    engine({ images: { [GCS_REF]: { command: ['/bin/sh', '-c', 'echo "no such option" >&2; exit 3'] } } })
    await expect(startGcs()).rejects.toThrow(
      /fake-gcs-server 1\.56\.1 \(docker\) ended \(3\) before it was ready\. The end of its log:\nno such option/,
    )
    expect(left()).toEqual(NOTHING)
  })

  it('whose client somebody killed is stopped and started all the same', async () => {
    engine({ images: { [GCS_REF]: HTTP } })
    const server = await startGcs()
    for (const then of [server.kill, async () => undefined]) {
      const [id] = state.list('containers')
      process.kill(server.pid, 'SIGKILL')
      await expect.poll(() => callsOf('start').length > 0 && isAlive(server.pid), { timeout: 60_000 }).toBe(false)
      expect(state.list('containers')).toEqual([id])
      await then()
      await server.start()
      expect(state.list('containers')).toHaveLength(1)
      expect(state.list('containers')).not.toEqual([id])
    }
    process.kill(server.pid, 'SIGKILL')
    await server.stop()
    expect(left()).toEqual(NOTHING)
    expect(await answers(server.port)).toBe(false)
  })

  it('that its engine can’t end is no silent success', async () => {
    engine({ images: { [GCS_REF]: HTTP } })
    const server = await startGcs()
    const { config } = state
    state.write({ ...config, fails: 'the daemon is gone' }, 'config.json')
    await expect(server.kill()).rejects.toThrow(/the daemon is gone/)
    await expect(server.stop()).rejects.toThrow(/the daemon is gone/)
    state.write(config, 'config.json')
    await server.stop()
    expect(left()).toEqual(NOTHING)
  })
})

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('a process that ends without `stop`', () => {
  const dies = (how = '') =>
    spawn(process.execPath, [join(HERE, 'dies.ts'), how], { stdio: ['ignore', 'pipe', 'pipe'], env: process.env })
  const where = async (child: ChildProcess): Promise<{ port: number; folder: string; from: string }> => {
    let said = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        said += text
      })
    }
    await expect.poll(() => said, { timeout: 60_000 }).toMatch(/\{.*\}/)
    return JSON.parse(/\{.*\}/.exec(said)?.[0] ?? '')
  }

  it('however it ends: its container, volume and folder go', async () => {
    engine({ images: { [GCS_REF]: HTTP } })
    const ends = [['', 'SIGKILL'], ['', 'SIGTERM'], ['', 'SIGINT'], ['exit'], ['throw']] as const
    const gone = ends.map(async ([how, signal]) => {
      const child = dies(how)
      const ended = once(child, 'exit')
      const at = await where(child)
      expect(at.from).toBe('container')
      if (signal !== undefined) child.kill(signal)
      expect((await ended)[signal === undefined ? 0 : 1], how).toBe(signal ?? { exit: 3, throw: 1 }[how])
      return at
    })
    const were = await Promise.all(gone)
    expect(new Set(were.map(({ port }) => port)).size).toBe(ends.length)
    await expect.poll(left, { timeout: 60_000 }).toEqual(NOTHING)
    for (const { port, folder: its } of were) {
      await expect.poll(() => existsSync(its), { timeout: 60_000 }).toBe(false)
      expect(await answers(port)).toBe(false)
    }
  })

  it('while its container is being made: it goes as soon as it is there', async () => {
    engine({ images: { [GCS_REF]: HTTP }, createTakes: 2000 })
    const child = dies()
    const ended = once(child, 'exit')
    await expect.poll(() => callsOf('create').length, { timeout: 60_000 }).toBe(1)
    child.kill('SIGKILL')
    await ended
    // Its client is an orphan that still makes it: the reaper's first looks find nothing.
    await expect.poll(() => callsOf('rm').length, { timeout: 60_000 }).toBeGreaterThan(0)
    await expect.poll(left, { timeout: 60_000 }).toEqual(NOTHING)
  })

  it('a reaper of a server that was stopped asks nothing more', async () => {
    engine({ images: { [GCS_REF]: HTTP } })
    await (await startGcs()).stop()
    const { length } = state.calls
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(state.calls).toHaveLength(length)
  })
})

describe('mongod', () => {
  const refused = (code: number) => new MongoServerError({ message: 'refused', code })
  const server = (...answers: (Document | Error)[]) => {
    const asked: Document[] = []
    return {
      asked,
      command: async (command: Document) => {
        asked.push(command)
        const answer = answers.shift() ?? new Error('asked too often')
        if (answer instanceof Error) throw answer
        return answer
      },
    }
  }
  const initiate = { replSetInitiate: { _id: 'rs0', members: [{ _id: 0, host: '127.0.0.1:4711' }] } }

  it('is told its replica set once, under the address that its clients reach it at', async () => {
    const fresh = server({ isWritablePrimary: false, isreplicaset: true }, { ok: 1 })
    expect(await takesWrites(fresh.command, 4711, false)).toBe('no primary')
    expect(fresh.asked).toEqual([{ hello: 1 }, initiate])
    const electing = server({ isWritablePrimary: false, setName: 'rs0' })
    expect(await takesWrites(electing.command, 4711, false)).toBe('no primary')
    const restarted = server({ isWritablePrimary: false, isreplicaset: true })
    expect(await takesWrites(restarted.command, 4711, true)).toBe('no primary')
    expect(await takesWrites(server({ isWritablePrimary: true }).command, 4711, false)).toBe(true)
  })

  it('that had it already goes on; any other refusal is told', async () => {
    const again = server({ isWritablePrimary: false }, refused(23))
    expect(await takesWrites(again.command, 4711, false)).toBe('no primary')
    await expect(takesWrites(server({ isWritablePrimary: false }, refused(13)).command, 4711, false)).rejects.toThrow(
      'refused',
    )
  })

  it('asks who its clients are: with a key for its members in a replica set, whose value is in no argument', () => {
    const key = 'c2VjcmV0'
    expect(mongodLaunch(4711, { standalone: false, guarded: false, key })).toEqual({
      args: ['mongod', '--replSet', 'rs0', '--bind_ip_all', '--port', '4711'],
    })
    expect(mongodLaunch(4711, { standalone: true, guarded: true, key })).toEqual({
      args: ['mongod', '--bind_ip_all', '--port', '4711', '--auth'],
    })
    const { args, entrypoint, env } = mongodLaunch(4711, { standalone: false, guarded: true, key })
    expect([entrypoint, args[0], args.slice(-2)]).toEqual(['bash', '-c', ['--keyFile', '/data/db/tensorhub.key']])
    expect(env).toEqual({ TENSORHUB_KEY: key })
    expect(args.join(' ')).not.toContain(key)
  })

  it('finds the key in a file of its own that nobody else reads, the same at every start', async () => {
    const { args, env } = mongodLaunch(4711, { standalone: false, guarded: true, key: 'c2VjcmV0' })
    const file = join(folder, 'tensorhub.key')
    onPath('chown', `echo "$@" >> '${folder}/owner'`)
    onPath('docker-entrypoint.sh', `echo "$@" > '${folder}/entered'`)
    const [flag = '', script = '', ...rest] = args.map((word) => word.replaceAll('/data/db/tensorhub.key', file))
    const enter = async (key: string) => {
      const entered = spawn('/bin/sh', [flag, script, ...rest], {
        stdio: 'ignore',
        env: { PATH: `${join(folder, 'bin')}:/usr/bin:/bin`, ...env, TENSORHUB_KEY: key },
      })
      return (await once(entered, 'exit'))[0]
    }
    expect(await enter('c2VjcmV0')).toBe(0)
    expect(await enter('other')).toBe(0)
    expect(readFileSync(file, 'utf8')).toBe('c2VjcmV0')
    expect(statSync(file).mode & 0o777).toBe(0o400)
    expect(readFileSync(join(folder, 'owner'), 'utf8')).toBe(`mongodb ${file}\n`)
    expect(readFileSync(join(folder, 'entered'), 'utf8')).toBe(
      `mongod --replSet rs0 --bind_ip_all --port 4711 --keyFile ${file}\n`,
    )
  })
})
