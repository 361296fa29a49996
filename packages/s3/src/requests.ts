import { createHash } from 'node:crypto'
import type {
  $Command,
  S3Client,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from '@aws-sdk/client-s3'
import { type Call, Gate, HubError, isHubError, retrying, settledRequest, throwIfAborted } from '@tensorhub/core'
import { SOCKETS } from './client.ts'
import { kindOfNodeError, S3Failure } from './failure.ts'

export type Command<I extends ServiceInputTypes, O extends ServiceOutputTypes> = $Command<
  I,
  O,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes
>

export interface Reply<O> {
  readonly output: O
  /** The server's clock, where it says. */
  readonly date: Date
  /** Lets the next request in; only where `hold` was asked for. */
  readonly release: () => void
}

export interface SendOptions extends Call {
  /** The body, and its sha256 in hex where it is known; without it the SDK hashes what there is, on the main thread. */
  readonly content?: { readonly bytes: Uint8Array; readonly sha256?: string }
  /** Sends Content-MD5 in place of a newer checksum: DeleteObjects demands one, and older servers know no other. */
  readonly md5?: boolean
  /** Of what changes something: an abort waits for the reply to what was sent whole. */
  readonly changes?: boolean
  /** Keeps the request's place until `release`, since its body is still to come. */
  readonly hold?: boolean
}

interface HttpMessage {
  readonly method?: string
  readonly headers: Record<string, string>
  readonly hostname?: string
  readonly port?: number
  readonly protocol?: string
  readonly statusCode?: number
  readonly body?: unknown
}

/**
 * Sends commands: at most so many at once, without the SDK's retries (it would repeat a conditional write whose reply was lost, and report the echo as a lost race),
 * and with errors that carry no secret.
 */
export class Requests {
  readonly client: S3Client
  readonly #gate = new Gate(SOCKETS)
  readonly #timeout: number
  readonly #config: S3ClientResolvedConfig
  readonly #given: boolean
  /** Whom the last request went to; for errors that come before any. */
  #host: string
  /** A body that is read on after `close` must not open connections that nobody closes. */
  closed = false

  /** @param given The client is the caller's, whose settings may make the SDK compute checksums of its own. */
  constructor(client: S3Client, timeout: number, host: string, given: boolean) {
    this.client = client
    // One copy for good: the SDK keeps the clock's correction in it.
    this.#config = given ? { ...client.config, ...WHEN_REQUIRED } : client.config
    this.#given = given
    this.#timeout = timeout
    this.#host = host
  }

  get host(): string {
    return this.#host
  }

  /** One request. @throws S3Failure, ABORTED */
  async send<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    command: Command<I, O>,
    o: SendOptions,
  ): Promise<Reply<O>> {
    if (this.closed) throw new HubError('CLOSED', 'The s3 store is closed.', { at: { scheme: 's3', op: 'read' } })
    const release = await this.#gate.enter(o.signal)
    let held = false
    try {
      const reply = await this.#request(command, o)
      held = o.hold === true
      return { ...reply, release }
    } catch (error) {
      throwIfAborted(o.signal)
      throw this.failure(error)
    } finally {
      if (!held) release()
    }
  }

  /** The same, again while it fails in a way that may pass: for requests that may be repeated. A command is made anew for each try. */
  repeat<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    command: () => Command<I, O>,
    o: SendOptions,
  ): Promise<Reply<O>> {
    return this.retrying(() => this.send(command(), o), o)
  }

  /** Tries again what fails in passing: five times; what cannot be reached no longer than the timeout; after silence of that length once. */
  retrying<T>(work: (attempt: number) => Promise<T>, o: Call): Promise<T> {
    const began = performance.now()
    return retrying(work, {
      isTransient: (error) => {
        if (!(error instanceof S3Failure)) return isHubError(error) && error.retryable
        if (!error.transient) return false
        const late = performance.now() - began
        if (error.kind === 'unreachable') return late < this.#timeout * 0.9
        return error.code !== 'TimeoutError' || late < this.#timeout * 1.5
      },
      attempts: 6,
      maxMs: Math.min(5000, this.#timeout / 4),
      ...(o.signal ? { signal: o.signal } : {}),
    })
  }

  async #request<I extends ServiceInputTypes, O extends ServiceOutputTypes>(
    command: Command<I, O>,
    o: SendOptions,
  ): Promise<{ output: O; date: Date }> {
    let date = new Date()
    command.middlewareStack.add(
      (next) => async (args) => {
        const request = args.request as HttpMessage
        this.#host = hostOf(request)
        delete request.headers['Expect']
        if (o.content) request.headers['x-amz-content-sha256'] = await contentHash(o.content, request.protocol)
        if (o.md5) useMd5(request)
        return next(args)
      },
      { step: 'build', priority: 'low', name: 'tensorhubRequest' },
    )
    command.middlewareStack.addRelativeTo(
      // The SDK's type allows for every step's middleware at once; this one's place is after the deserializer's, where replies are raw.
      ((next: RawHandler) => async (args: RawRequest) => {
        const result = await next(args)
        const response = result.response as HttpMessage
        refuseStrangers(args.request as HttpMessage, response)
        const said = new Date(response.headers['date'] ?? '')
        if (!Number.isNaN(said.getTime())) date = said
        return result
      }) as never,
      { relation: 'after', toMiddleware: 'deserializerMiddleware', name: 'tensorhubResponse' },
    )
    const stack = this.client.middlewareStack.clone()
    // In its place, since others are placed beside it.
    stack.add((next) => next, { step: 'finalizeRequest', name: 'retryMiddleware', priority: 'high', override: true })
    const sent = async (abortSignal: AbortSignal | undefined) => {
      await this.signIn()
      const handler = command.resolveMiddleware(stack, this.#config, abortSignal ? { abortSignal } : {})
      return handler(command as never)
    }
    const { output } = await (o.changes ? settledRequest(o.signal, () => this.#host, sent) : sent(o.signal))
    return { output, date }
  }

  /**
   * Credentials of a container, a machine or another account are asked for elsewhere, without a bound of the SDK's. It keeps them, so that signing finds them here. Of a
   * client that was given that is the caller's affair.
   */
  async signIn(): Promise<void> {
    if (this.#given) return
    const { code, message } = { code: 'TimeoutError', message: `No credentials came within ${this.#timeout} ms.` }
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      const error = () => new S3Failure('unreachable', code, message, { host: 'The source of the credentials' })
      timer = setTimeout(() => reject(error()), this.#timeout)
    })
    try {
      await Promise.race([this.#config.credentials(), late])
    } finally {
      clearTimeout(timer)
    }
  }

  /** An SDK's error, without what it carries of the request. */
  failure(error: unknown): unknown {
    return failureOf(error, this.#host)
  }
}

/** What an error of the SDK says, without what it carries of the request; others as they are. */
export function failureOf(error: unknown, host: string): unknown {
  if (error instanceof S3Failure || isHubError(error)) return error
  const { name = '', code, message = '', $metadata, $response, Region, Code } = (error ?? {}) as SdkError
  const kind = kindOfNodeError(error)
  if (kind !== undefined) return new S3Failure(kind, code ?? name, shown(message), { host })
  const status = $response?.statusCode ?? $metadata?.httpStatusCode
  if (status === undefined) {
    const setup =
      name === 'CredentialsProviderError' || /^Region is missing|Could not (load|resolve) credentials/i.test(message)
    return setup ? new S3Failure('setup', name, shown(message), { host }) : error
  }
  const headers = $response?.headers ?? {}
  return new S3Failure('answered', Code ?? name, shown(message), {
    host,
    status,
    region: Region ?? headers['x-amz-bucket-region'] ?? /expecting ["']?([a-z0-9-]+)/.exec(message)?.[1],
    requestId: $metadata?.requestId,
    clockCorrected: $metadata?.clockSkewCorrected === true,
  })
}

/** The options of a request that changes something. */
export function changing({ signal }: Call): SendOptions {
  return { changes: true, ...(signal ? { signal } : {}) }
}

interface RawRequest {
  readonly request: unknown
}
type RawHandler = (args: RawRequest) => Promise<{ readonly response: unknown }>

const WHEN_REQUIRED = {
  requestChecksumCalculation: async () => 'WHEN_REQUIRED' as const,
  responseChecksumValidation: async () => 'WHEN_REQUIRED' as const,
}

/**
 * The value of `x-amz-content-sha256`, which the signature covers and the server checks. Set here, it keeps the SDK from hashing the body. Where TLS protects the body
 * and its hash is not known, none is made; without TLS it is, on a thread of the pool.
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
async function contentHash(
  { bytes, sha256 }: { readonly bytes: Uint8Array; readonly sha256?: string },
  protocol: string | undefined,
): Promise<string> {
  if (sha256 !== undefined) return sha256
  if (protocol === 'https:') return 'UNSIGNED-PAYLOAD'
  return Buffer.from(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>)).toString('hex')
}

interface SdkError {
  readonly name?: string
  readonly code?: string
  readonly Code?: string
  readonly message?: string
  readonly Region?: string
  readonly $metadata?: { httpStatusCode?: number; requestId?: string; clockSkewCorrected?: boolean }
  readonly $response?: { statusCode?: number; headers?: Record<string, string> }
}

/** A server's words, without the ids of keys that some quote. */
function shown(message: string): string {
  return message.replace(/\b(AKIA|ASIA)[A-Z0-9]{12,}\b/g, '***').slice(0, 500)
}

function hostOf({ hostname = '', port }: HttpMessage): string {
  return port === undefined ? hostname : `${hostname}:${port}`
}

/** https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html: Content-MD5, or a checksum. */
function useMd5(request: HttpMessage): void {
  for (const name of Object.keys(request.headers))
    if (/^x-amz-(checksum-|sdk-checksum-algorithm)/i.test(name)) delete request.headers[name]
  const body = request.body as string | Uint8Array
  request.headers['content-md5'] = createHash('md5').update(body).digest('base64')
}

/**
 * A page for people (a proxy's login, some other web server) is no answer of S3's, whose replies are XML, or a blob with its ETag. HEAD has no page to look at,
 * and 5xx may be a balancer's own.
 */
function refuseStrangers(request: HttpMessage, response: HttpMessage): void {
  const { headers, statusCode = 0 } = response
  if (request.method === 'HEAD' || statusCode >= 500 || statusCode === 304) return
  if (headers['x-amz-request-id'] !== undefined || headers['etag'] !== undefined) return
  const type = headers['content-type'] ?? ''
  const page = /^text\/html/i.test(type) && statusCode !== 204 && headers['content-length'] !== '0'
  const elsewhere =
    statusCode >= 300 && statusCode < 400 && headers['x-amz-bucket-region'] === undefined && !/xml/i.test(type)
  if (!page && !elsewhere) return
  const { body } = response as { body?: { destroy?: () => void } }
  body?.destroy?.()
  const host = hostOf(request)
  throw new S3Failure('stranger', page ? 'an HTML page' : 'a redirection', type, { host, status: statusCode })
}
