import { Agent as HttpAgent } from 'node:http'
import { Agent as HttpsAgent } from 'node:https'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { NodeHttpHandler } from '@smithy/node-http-handler'
import type { S3Options, Settings } from './options.ts'

/** Requests under way at once in one driver, and sockets kept open between them. */
export const SOCKETS = 64

/** The SDK's client with this driver's connections and without the SDK's own work on bodies. */
export function makeClient(o: S3Options, { timeout }: Settings): S3Client {
  // The number of sockets is bounded before the agent, by Gate; here it is not, so that bodies that a caller holds unread cannot stop everything else.
  const agent = { keepAlive: true, maxFreeSockets: SOCKETS }
  const requestHandler = new NodeHttpHandler({
    httpAgent: new HttpAgent(agent),
    httpsAgent: new HttpsAgent(agent),
    connectionTimeout: timeout,
    // Silence on the socket. The handler's requestTimeout is no such bound: it runs from the start of the request to its reply, however long the body is.
    socketTimeout: timeout,
  })
  const region = o.region ?? (o.endpoint === undefined ? undefined : process.env['AWS_REGION'] || 'us-east-1')
  const config: S3ClientConfig = {
    requestHandler,
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    forcePathStyle: o.forcePathStyle ?? o.endpoint !== undefined,
    ...(region === undefined ? {} : { region }),
    ...(o.endpoint === undefined ? {} : { endpoint: o.endpoint }),
    ...(o.credentials === undefined ? {} : { credentials: o.credentials }),
    ...(o.profile === undefined ? {} : { profile: o.profile }),
    // A user's environment must not turn this driver's uploads into chunked ones with trailers, nor wait for 100 Continue on connections of their own.
    expectContinueHeader: false,
  }
  return new S3Client(config)
}
