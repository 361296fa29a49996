import { env } from 'node:process'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { CreateBucketCommand, GetObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { BlobServiceClient } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { type RunningServer, startAzure, startGcs, startMongo, startS3 } from '@tensorhub/servers'
import { GridFSBucket, MongoClient } from 'mongodb'

/** The SDK's own calls, as its documentation shows them, with its defaults. */
export interface Plain {
  save(name: string, bytes: Buffer): Promise<unknown>
  load(name: string): Promise<Uint8Array>
  close(): Promise<void>
}

export interface CloudStore {
  readonly name: string
  /** The package whose README shows the rows. */
  readonly package: 'mongodb' | 's3' | 'gcs' | 'azure'
  readonly calls: { readonly save: string; readonly load: string }
  /** Least ratios over the slow line (design §10). */
  readonly bars: { readonly save: number; readonly load: number }
  start(): Promise<{
    readonly server: RunningServer
    /** The URL of the store, and the SDK, with the server at this port. */
    at(port: number): Promise<{ readonly blobs: string; readonly plain: Plain }>
  }>
}

const gridfs: CloudStore = {
  name: 'GridFS',
  package: 'mongodb',
  calls: { save: 'a stream piped to `openUploadStream`', load: '`openDownloadStream`' },
  bars: { save: 1.5, load: 1.5 },
  async start() {
    const server = await startMongo()
    return {
      server,
      async at(port) {
        // A replica set would tell its members' own addresses, and the client leave the slow line.
        const url = `mongodb://127.0.0.1:${port}`
        const client = await MongoClient.connect(`${url}/?directConnection=true`)
        const bucket = new GridFSBucket(client.db('plain'))
        return {
          blobs: `${url}/hub?directConnection=true`,
          plain: {
            // As a file's stream gives it, which is how the driver's documentation shows it.
            save: (name, bytes) => pipeline(Readable.from(pieces(bytes)), bucket.openUploadStream(name)),
            async load(name) {
              const all: Buffer[] = []
              for await (const piece of bucket.openDownloadStreamByName(name)) all.push(piece as Buffer)
              return Buffer.concat(all)
            },
            close: () => client.close(),
          },
        }
      },
    }
  },
}

/** Of 64 KiB, the default of Node's file streams. */
function* pieces(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += 65_536) yield bytes.subarray(at, at + 65_536)
}

const s3: CloudStore = {
  name: 'S3',
  package: 's3',
  calls: { save: '`Upload` of lib-storage', load: '`GetObject`' },
  bars: { save: 1.5, load: 1.5 },
  async start() {
    const server = await startS3()
    const { region, accessKeyId, secretAccessKey } = server
    Object.assign(env, { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey })
    const clientAt = (port: number) =>
      new S3Client({ region, endpoint: `http://127.0.0.1:${port}`, forcePathStyle: true })
    const first = clientAt(server.port)
    await first.send(new CreateBucketCommand({ Bucket: 'bench' }))
    first.destroy()
    return {
      server,
      async at(port) {
        const client = clientAt(port)
        return {
          blobs: `s3://bench/hub${port}?${new URLSearchParams({ region, endpoint: `http://127.0.0.1:${port}`, pathStyle: 'true' })}`,
          plain: {
            save: (name, bytes) => new Upload({ client, params: { Bucket: 'bench', Key: name, Body: bytes } }).done(),
            async load(name) {
              const { Body } = await client.send(new GetObjectCommand({ Bucket: 'bench', Key: name }))
              return (await Body?.transformToByteArray()) as Uint8Array
            },
            async close() {
              client.destroy()
            },
          },
        }
      },
    }
  },
}

const gcs: CloudStore = {
  name: 'GCS',
  package: 'gcs',
  calls: { save: '`file.save`', load: '`file.download`' },
  bars: { save: 1, load: 1.5 },
  async start() {
    const server = await startGcs()
    const { projectId } = server
    const storageAt = (port: number) => new Storage({ apiEndpoint: `http://127.0.0.1:${port}`, projectId })
    await storageAt(server.port).createBucket('bench')
    return {
      server,
      async at(port) {
        const bucket = storageAt(port).bucket('bench')
        return {
          blobs: `gs://bench/hub${port}?${new URLSearchParams({ projectId, endpoint: `http://127.0.0.1:${port}` })}`,
          plain: {
            save: (name, bytes) => bucket.file(name).save(bytes),
            load: async (name) => (await bucket.file(name).download())[0],
            close: async () => undefined,
          },
        }
      },
    }
  },
}

const azure: CloudStore = {
  name: 'Azure',
  package: 'azure',
  calls: { save: '`uploadData`', load: '`downloadToBuffer`' },
  bars: { save: 1, load: 1.5 },
  async start() {
    const server = await startAzure()
    const { connectionString } = server
    const stringAt = (port: number) => connectionString.replace(`:${server.port}/`, `:${port}/`)
    await BlobServiceClient.fromConnectionString(connectionString).createContainer('bench')
    return {
      server,
      async at(port) {
        const container = BlobServiceClient.fromConnectionString(stringAt(port)).getContainerClient('bench')
        env['AZURE_STORAGE_CONNECTION_STRING'] = stringAt(port)
        return {
          blobs: `azblob://bench/hub${port}`,
          plain: {
            save: (name, bytes) => container.getBlockBlobClient(name).uploadData(bytes),
            load: (name) => container.getBlockBlobClient(name).downloadToBuffer(),
            close: async () => undefined,
          },
        }
      },
    }
  },
}

export const CLOUD_STORES: readonly CloudStore[] = [gridfs, s3, gcs, azure]
