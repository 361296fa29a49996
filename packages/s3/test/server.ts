import { randomBytes } from 'node:crypto'
import { CreateBucketCommand, ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import type { BlobDriver } from '@tensorhub/core'
import { type S3Options, s3 } from '@tensorhub/s3'
import { type S3Server, startS3 } from '@tensorhub/servers'

/** One server of a test file, and buckets on it. */
export class TestServer {
  readonly #start: () => Promise<S3Server>
  #server: S3Server | undefined
  #admin: S3Client | undefined

  constructor(start: () => Promise<S3Server> = startS3) {
    this.#start = start
  }

  async start(): Promise<void> {
    this.#server = await this.#start()
  }

  async stop(): Promise<void> {
    this.#admin?.destroy()
    await this.#server?.stop()
  }

  get server(): S3Server {
    if (this.#server === undefined) throw new Error('The server has not been started.')
    return this.#server
  }

  /** Where the server is, and how to sign in. */
  get access() {
    const { endpoint, region, accessKeyId, secretAccessKey } = this.server
    return { endpoint, region, credentials: { accessKeyId, secretAccessKey } }
  }

  /** The SDK itself, as a user has it. */
  get admin(): S3Client {
    this.#admin ??= new S3Client({ ...this.access, forcePathStyle: true })
    return this.#admin
  }

  async bucket(): Promise<string> {
    const Bucket = `test-${randomBytes(6).toString('hex')}`
    await this.admin.send(new CreateBucketCommand({ Bucket }))
    return Bucket
  }

  /** A driver on a new bucket. */
  async driver(options: Partial<S3Options> = {}): Promise<BlobDriver> {
    return s3({ bucket: await this.bucket(), ...this.access, ...options })
  }

  async unfinished(bucket: string): Promise<number> {
    const { Uploads = [] } = await this.admin.send(new ListMultipartUploadsCommand({ Bucket: bucket }))
    return Uploads.length
  }
}
