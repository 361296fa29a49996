import { join } from 'node:path'
import { env } from 'node:process'
import { pathToFileURL } from 'node:url'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { type RunningServer, startAzure, startGcs, startMongo, startS3 } from '@tensorhub/servers'
import { newFolder } from '../suite/store-pair.ts'

/** A kind of store that one layer can lie in. Its server, where it has one, serves all hubs of a test file. */
export interface Layer {
  readonly name: string
  /** Starts what it needs. Gives the URL of another empty store each time it is asked. */
  open(): Promise<{ readonly newUrl: () => Promise<string>; readonly server?: RunningServer }>
}

export const INDEXES = {
  sqlite: {
    name: 'SQLite',
    open: async () => ({ newUrl: async () => `sqlite://${join(await newFolder(), 'index.db')}` }),
  },
  mongodb: {
    name: 'MongoDB',
    async open() {
      const server = await startMongo()
      let databases = 0
      return { server, newUrl: async () => `${server.url}/hub${++databases}` }
    },
  },
} satisfies Record<string, Layer>

export const BLOBS = {
  fs: {
    name: 'files',
    open: async () => ({ newUrl: async () => pathToFileURL(await newFolder()).href }),
  },
  gridfs: {
    name: 'GridFS',
    async open() {
      const server = await startMongo()
      let databases = 0
      return { server, newUrl: async () => `${server.url}/blobs${++databases}` }
    },
  },
  s3: {
    name: 'S3',
    async open() {
      const server = await startS3()
      const { endpoint, region, accessKeyId, secretAccessKey } = server
      const client = new S3Client({
        endpoint,
        region,
        credentials: { accessKeyId, secretAccessKey },
        forcePathStyle: true,
      })
      await client.send(new CreateBucketCommand({ Bucket: 'matrix' }))
      client.destroy()
      // As most people give them; a task's process has them from its runner, since its environment has no credentials.
      Object.assign(env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey })
      let hubs = 0
      return {
        server,
        newUrl: async () => `s3://matrix/hub${++hubs}?${new URLSearchParams({ endpoint, region, pathStyle: 'true' })}`,
      }
    },
  },
  gcs: {
    name: 'Google Cloud Storage',
    async open() {
      const server = await startGcs()
      const { endpoint, projectId } = server
      await new Storage({ apiEndpoint: endpoint, projectId }).createBucket('matrix')
      env['STORAGE_EMULATOR_HOST'] = endpoint
      let hubs = 0
      return { server, newUrl: async () => `gs://matrix/hub${++hubs}?projectId=${projectId}` }
    },
  },
  azure: {
    name: 'Azure',
    async open() {
      const server = await startAzure()
      const { endpoint, account, key, connectionString } = server
      await new BlobServiceClient(endpoint, new StorageSharedKeyCredential(account, key)).createContainer('matrix')
      env['AZURE_STORAGE_CONNECTION_STRING'] = connectionString
      let hubs = 0
      return { server, newUrl: async () => `azblob://matrix/hub${++hubs}` }
    },
  },
} satisfies Record<string, Layer>

export type IndexName = keyof typeof INDEXES
export type BlobsName = keyof typeof BLOBS
