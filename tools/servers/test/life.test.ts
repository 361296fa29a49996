import { existsSync, readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import {
  CreateBucketCommand,
  GetObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { BlobServiceClient } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { MongoClient } from 'mongodb'
import { expect, it } from 'vitest'
import {
  type AzureServer,
  type GcsServer,
  type MongoServer,
  type RunningServer,
  type S3Server,
  startAzure,
  startGcs,
  startMongo,
  startMoto,
  startS3,
} from '../index.ts'
import type { ServerKind } from '../suites/kinds.ts'
import { serverSuite } from '../suites/suite.ts'

const BYTES = Buffer.alloc(100_000, 'kept')

const isAlive = (pid: number) => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })

/** Stores something, and reads it again, by the SDK that people use. */
interface Use {
  put(): Promise<unknown>
  got(): Promise<Buffer | undefined>
  /** Waits until a kill can't take it away any more. */
  kept?(): Promise<unknown>
}

const mongo = (server: MongoServer): Use => {
  const inCollection = async <T>(work: (client: MongoClient) => Promise<T>) => {
    const client = new MongoClient(server.urlOf('kept'))
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
const s3 = ({ endpoint, region, accessKeyId, secretAccessKey }: S3Server): Use => {
  const client = new S3Client({ endpoint, region, credentials: { accessKeyId, secretAccessKey }, forcePathStyle: true })
  return {
    async put() {
      await client.send(new CreateBucketCommand({ Bucket: 'kept' }))
      await client.send(new PutObjectCommand({ Bucket: 'kept', Key: 'kept', Body: BYTES }))
      expect((await client.send(new ListBucketsCommand({}))).Buckets).toHaveLength(1)
    },
    async got() {
      const { Body } = await client.send(new GetObjectCommand({ Bucket: 'kept', Key: 'kept' }))
      return Buffer.from((await Body?.transformToByteArray()) ?? [])
    },
  }
}
const gcs = ({ endpoint, projectId }: GcsServer): Use => {
  const storage = new Storage({ apiEndpoint: endpoint, projectId })
  return {
    async put() {
      await storage.createBucket('kept')
      await storage.bucket('kept').file('kept').save(BYTES, { resumable: false })
    },
    got: async () => (await storage.bucket('kept').file('kept').download())[0],
  }
}
const azure = ({ connectionString, folder }: AzureServer): Use => {
  const container = BlobServiceClient.fromConnectionString(connectionString).getContainerClient('kept')
  return {
    async put() {
      await container.create()
      await container.getBlockBlobClient('kept').uploadData(BYTES)
    },
    got: () => container.getBlockBlobClient('kept').downloadToBuffer(),
    async kept() {
      for (const [name, what] of [
        ['blob', '"name":"kept","properties"'],
        ['blob_extent', '"id"'],
      ] as const) {
        const file = join(folder, 'data', `__azurite_db_${name}__.json`)
        await expect
          .poll(() => existsSync(file) && readFileSync(file, 'utf8').includes(what), { timeout: 60_000 })
          .toBe(true)
      }
    },
  }
}

interface Case<Server extends RunningServer> {
  readonly kinds: ServerKind
  readonly name: string
  readonly start: () => Promise<Server>
  readonly use: (server: Server) => Use
  /** Whether its data outlive SIGKILL. */
  readonly keeps: boolean
}
const each = <Server extends RunningServer>(one: Case<Server>) => one as unknown as Case<RunningServer>

const CASES = [
  each({ kinds: 'mongodb', name: 'SecantusDB', start: () => startMongo(), use: mongo, keeps: true }),
  each({
    ...{ kinds: 'mongodb', name: 'SecantusDB, standalone', use: mongo, keeps: true },
    start: () => startMongo({ standalone: true }),
  }),
  each({
    ...{ kinds: 'mongodb', name: 'SecantusDB with a user', use: mongo, keeps: true },
    start: () => startMongo({ auth: { username: 'us/er', password: 'p@ss:word' } }),
  }),
  each({
    ...{ kinds: 'mongodb-python', name: 'SecantusDB in Python', use: mongo, keeps: true },
    start: () => startMongo({ kind: 'secantus-python' }),
  }),
  each({
    ...{ kinds: 'mongodb-java', name: 'mongo-java-server', use: mongo, keeps: false },
    start: () => startMongo({ kind: 'java' }),
  }),
  each({ kinds: 's3', name: 'versitygw', start: () => startS3(), use: s3, keeps: true }),
  each({ kinds: 'moto', name: 'moto', start: () => startMoto(), use: s3, keeps: false }),
  each({ kinds: 'gcs', name: 'fake-gcs-server in memory', start: () => startGcs(), use: gcs, keeps: false }),
  each({
    ...{ kinds: 'gcs', name: 'fake-gcs-server on files', use: gcs, keeps: true },
    start: () => startGcs({ backend: 'filesystem' }),
  }),
  each({ kinds: 'azure', name: 'Azurite', start: () => startAzure(), use: azure, keeps: true }),
]

for (const { kinds, name, start, use, keeps } of CASES) {
  await serverSuite(
    kinds,
    `${name} starts, is killed, starts again and stops`,
    () => {
      it('on one port and folder, and leaves neither process nor folder', async () => {
        const server = await start()
        try {
          const { port, folder, pid } = server
          expect(server).toMatchObject({ ours: true, host: '127.0.0.1' })
          const { put, got, kept } = use(server)
          await put()
          expect(await got()).toEqual(BYTES)
          await kept?.()
          await expect(server.start()).rejects.toThrow(/running already/)
          await server.kill()
          expect(isAlive(pid)).toBe(false)
          expect(await answers(port)).toBe(false)
          await server.start()
          expect(server).toMatchObject({ port, folder })
          expect(server.pid).not.toBe(pid)
          if (keeps) expect(await got()).toEqual(BYTES)
          const last = server.pid
          await server.stop()
          expect(isAlive(last)).toBe(false)
          expect(await answers(port)).toBe(false)
          expect(existsSync(folder)).toBe(false)
        } finally {
          await server.stop()
        }
      })
    },
    { ours: true },
  )
}

await serverSuite(
  'mongodb',
  'a MongoDB with a user',
  () => {
    it('refuses everybody else', async () => {
      const server = await startMongo({
        auth: { username: 'hub', password: 'secret', db: 'team', roles: [{ role: 'readWrite', db: 'team' }] },
      })
      try {
        const insert = async (url: string) => {
          const client = new MongoClient(url)
          try {
            return (await client.db('team').collection('x').insertOne({})).acknowledged
          } finally {
            await client.close()
          }
        }
        expect(server.auth).toEqual({ username: 'hub', password: 'secret', authSource: 'team' })
        expect(await insert(server.urlOf('team'))).toBe(true)
        await expect(insert(`${server.url}/team`)).rejects.toThrow(/authentication/i)
        await expect(insert(server.urlOf('team').replace('secret', 'wrong'))).rejects.toThrow(/authentication failed/i)
      } finally {
        await server.stop()
      }
    })
  },
  { ours: true },
)

it('a server that does not come up says why, and leaves nothing', async () => {
  const { startServer } = await import('../server.ts')
  const failed = startServer('broken 1.0', () => ({
    program: process.execPath,
    args: ['-e', 'console.error("no such option --prot"); process.exit(3)'],
  }))
  await expect(failed).rejects.toThrow(
    /broken 1\.0 ended \(3\) before it was ready\. The end of its log:\nno such option --prot/,
  )
  await expect(startServer('gone', () => ({ program: '/nowhere', args: [] }))).rejects.toThrow(/cannot start \/nowhere/)
})
