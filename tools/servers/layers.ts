import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { env } from 'node:process'
import { pathToFileURL } from 'node:url'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { startAzure } from './azure.ts'
import { startGcs } from './gcs.ts'
import { startMongo } from './mongodb.ts'
import { startS3 } from './s3.ts'
import type { RunningServer } from './server.ts'

/** A kind of store that one layer can lie in. */
export interface Layer {
  readonly name: string
  /** Starts what it needs, and sets the environment's credentials where that is how most people give them. */
  open(o?: LayerNeeds): Promise<OpenLayer>
}

export interface LayerNeeds {
  /** Its server is to be killed: in a form that keeps what it acknowledged, where it has one. (Azurite has none; see `startAzure`.) */
  readonly killed?: boolean
}

export interface OpenLayer {
  /** The URL of another empty store. */
  readonly newUrl: () => Promise<string>
  /** Where the stores of one kind have a server. */
  readonly server?: RunningServer
  /** Stops the server, and removes what lies in folders. */
  readonly close: () => Promise<void>
}

/** A server may be a user's own, which outlives this process: names are used once. */
const once = (what: string) => `${what}-${randomBytes(5).toString('hex')}`

export const INDEXES = {
  sqlite: {
    name: 'SQLite',
    open: () => inFolders((folder) => `sqlite://${join(folder, 'index.db')}`),
  },
  mongodb: {
    name: 'MongoDB',
    async open() {
      const server = await startMongo()
      return { server, close: server.stop, newUrl: async () => server.urlOf(once('hub')) }
    },
  },
} satisfies Record<string, Layer>

export const BLOBS = {
  fs: {
    name: 'files',
    open: () => inFolders((folder) => pathToFileURL(folder).href),
  },
  gridfs: {
    name: 'GridFS',
    async open() {
      const server = await startMongo()
      return { server, close: server.stop, newUrl: async () => server.urlOf(once('blobs')) }
    },
  },
  s3: {
    name: 'S3',
    async open() {
      const server = await startS3()
      const { endpoint, region, accessKeyId, secretAccessKey } = server
      const bucket = once('tensorhub')
      const client = new S3Client({
        endpoint,
        region,
        credentials: { accessKeyId, secretAccessKey },
        forcePathStyle: true,
      })
      await client.send(new CreateBucketCommand({ Bucket: bucket }))
      client.destroy()
      // As most people give them; a task's process has them from its runner, since its environment has no credentials.
      Object.assign(env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey })
      return {
        server,
        close: server.stop,
        newUrl: async () =>
          `s3://${bucket}/${once('hub')}?${new URLSearchParams({ endpoint, region, pathStyle: 'true' })}`,
      }
    },
  },
  gcs: {
    name: 'Google Cloud Storage',
    async open(o: LayerNeeds = {}) {
      const server = await startGcs(o.killed ? { backend: 'filesystem' } : {})
      const { endpoint, projectId } = server
      const bucket = once('tensorhub')
      // The client heeds it above `apiEndpoint`: that of an earlier server must not be there.
      delete env['STORAGE_EMULATOR_HOST']
      await new Storage({ apiEndpoint: endpoint, projectId }).createBucket(bucket)
      // The real one is no emulator: with this set its client would sign nothing.
      if (new URL(endpoint).hostname !== 'storage.googleapis.com') env['STORAGE_EMULATOR_HOST'] = endpoint
      return { server, close: server.stop, newUrl: async () => `gs://${bucket}/${once('hub')}?projectId=${projectId}` }
    },
  },
  azure: {
    name: 'Azure',
    async open() {
      const server = await startAzure()
      const { endpoint, account, key, connectionString } = server
      const container = once('tensorhub')
      await new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, key)).createContainer(container)
      env['AZURE_STORAGE_CONNECTION_STRING'] = connectionString
      return { server, close: server.stop, newUrl: async () => `azblob://${container}/${once('hub')}` }
    },
  },
} satisfies Record<string, Layer>

export type IndexName = keyof typeof INDEXES
export type BlobsName = keyof typeof BLOBS

async function inFolders(urlOf: (folder: string) => string): Promise<OpenLayer> {
  const folders: string[] = []
  return {
    async newUrl() {
      const folder = await mkdtemp(join(tmpdir(), 'tensorhub-layer-'))
      folders.push(folder)
      return urlOf(folder)
    },
    async close() {
      for (const folder of folders) await rm(folder, { recursive: true, force: true })
    },
  }
}
