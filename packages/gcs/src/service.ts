import type { Storage } from '@google-cloud/storage'
import { Credentials } from './credentials.ts'
import { NotTheStore, ReplyFailure } from './errors.ts'
import { Http, type HttpReply, type HttpRequest } from './http.ts'
import { type GcsSettings, isGoogle } from './options.ts'

/** One request to the service: its place, and what stands in it. */
export interface ServiceRequest extends Omit<HttpRequest, 'url' | 'headers'> {
  /** The path with its query, percent-encoded. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  /** Statuses beside 2xx that the caller reads itself. */
  readonly accept?: readonly number[]
}

/**
 * The bucket's requests, signed in, each sent once; what is no answer of Cloud Storage's becomes an error. The SDK's own request layers are left aside: they hash
 * uploads in JavaScript (37 MiB a second), open sockets without bound, and repeat writes after a lost reply, which turns a success into a false 412.
 */
export class Service {
  readonly bucket: string
  readonly host: string
  readonly credentials: Credentials
  /** Milliseconds. */
  readonly timeout: number
  /**
   * Whether reads go by the XML API, whose replies alone carry an object's metadata beside its bytes. Emulators offer it under a name of their own only, so that
   * there the JSON API's download path is used, which carries them on those.
   * https://cloud.google.com/storage/docs/xml-api/reference-headers
   */
  readonly xml: boolean
  readonly #origin: string
  readonly #http: Http

  constructor(settings: GcsSettings) {
    const client: Storage = settings.client
    this.bucket = settings.bucket
    this.timeout = settings.timeout
    const url = new URL(client.apiEndpoint)
    this.#origin = url.origin
    this.host = url.host
    this.xml = !client.customEndpoint || isGoogle(url.hostname)
    this.credentials = new Credentials(client, settings.timeout, settings.keyFile)
    this.#http = new Http(settings.timeout, Math.max(64, 4 * settings.parallel))
  }

  close(): void {
    this.#http.close()
  }

  /** @throws ReplyFailure, NotTheStore, ConnectionFailure, CredentialsFailure */
  async send(r: ServiceRequest): Promise<HttpReply> {
    const url = new URL(`${this.#origin}${r.path}`)
    const signedIn = await this.credentials.headers(url, r.signal)
    const reply = await this.#http.send({
      method: r.method,
      url,
      headers: { 'user-agent': 'tensorhub-gcs', ...r.headers, ...signedIn },
      ...(r.body === undefined ? {} : { body: r.body }),
      signal: r.signal,
    })
    const { status, headers } = reply
    if (status < 500 && isPage(headers)) throw await this.#notTheStore(reply)
    if ((status >= 200 && status < 300) || r.accept?.includes(status)) return reply
    if (status >= 300 && status < 400 && status !== 304) throw await this.#notTheStore(reply)
    throw await this.#failure(reply)
  }

  /** The same for a reply that is a JSON object. */
  async json<T extends object>(r: ServiceRequest): Promise<T> {
    return this.object<T>(await this.send(r))
  }

  async object<T extends object>(reply: HttpReply): Promise<T> {
    const text = new TextDecoder().decode(await reply.bytes())
    const value = parsed(text)
    if (value === undefined) throw new NotTheStore(this.host, `${reply.status} with something that is no JSON`)
    return value as T
  }

  async #notTheStore(reply: HttpReply): Promise<NotTheStore> {
    await reply.stream().cancel()
    const type = String(reply.headers['content-type'] ?? 'no content type').split(';')[0]
    return new NotTheStore(
      this.host,
      `${reply.status} with ${type}${'location' in reply.headers ? ', sending elsewhere' : ''}`,
    )
  }

  /** https://cloud.google.com/storage/docs/json_api/v1/status-codes, https://cloud.google.com/storage/docs/xml-api/reference-status */
  async #failure(reply: HttpReply): Promise<ReplyFailure> {
    const text = new TextDecoder().decode(await reply.bytes())
    const { error } = (parsed(text) ?? {}) as {
      error?: { message?: unknown; errors?: readonly { reason?: unknown }[] }
    }
    const xml = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(text)?.[1] ?? ''
    const reason = String(error?.errors?.[0]?.reason ?? xml('Code'))
    const said = [error?.message, xml('Message'), xml('Details')].filter((part) => part !== undefined && part !== '')
    return new ReplyFailure(reply.status, reason, said.join(' ').slice(0, 500), this.host, this.bucket)
  }
}

/** A page for people, rather than a blob that is one. Google's upload servers say so of plain errors too, and have a header that marks them. */
function isPage(headers: HttpReply['headers']): boolean {
  if ('x-guploader-uploadid' in headers || 'x-goog-generation' in headers) return false
  return /^text\/html/i.test(String(headers['content-type'] ?? ''))
}

function parsed(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}
