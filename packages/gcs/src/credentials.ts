import { readFile } from 'node:fs/promises'
import type { Storage } from '@google-cloud/storage'
import { abortError, isHubError, throwIfAborted } from '@tensorhub/core'
import { CredentialsFailure } from './errors.ts'

/** Signs requests in with the SDK's own client, which finds the credentials, and keeps and renews the access token. */
export class Credentials {
  readonly #client: Storage
  readonly #timeout: number

  readonly #keyFile: string | undefined

  constructor(client: Storage, timeout: number, keyFile: string | undefined) {
    this.#client = client
    this.#timeout = timeout
    this.#keyFile = keyFile
  }

  /** Whether requests are signed in; not to an emulator. The rule is the SDK's own. */
  get used(): boolean {
    return !this.#client.customEndpoint || this.#client.useAuthWithCustomEndpoint === true
  }

  /** `authorization`, and what else the credentials want sent (the project that is billed). @throws CredentialsFailure, ABORTED */
  async headers(url: URL, signal?: AbortSignal): Promise<Readonly<Record<string, string>>> {
    if (!this.used) return {}
    await this.#readKeyFile()
    throwIfAborted(signal)
    const headers = await this.#within(this.#client.authClient.getRequestHeaders(url.href), signal)
    return Object.fromEntries(headers)
  }

  /**
   * Whether URLs can be signed: with a service account's key, or in its name by IAM's signBlob (on Google's machines, or impersonated). A user's own login cannot.
   * https://cloud.google.com/storage/docs/access-control/signed-urls
   */
  async canSign(): Promise<boolean> {
    await this.#readKeyFile()
    // An emulator is not signed in to; a key that was given signs all the same.
    if (!this.used && this.#client.authClient.jsonContent === null) return false
    const client = await this.#within(this.#client.authClient.getClient())
    const { key, keyFile } = client as { readonly key?: unknown; readonly keyFile?: unknown }
    if (key !== undefined || keyFile !== undefined) return true
    return 'serviceAccountEmail' in client || 'getTargetPrincipal' in client || 'getServiceAccountEmail' in client
  }

  /** A V4 URL for an object. @throws CredentialsFailure */
  async sign(
    bucket: string,
    name: string,
    o: { readonly method: 'GET' | 'PUT'; readonly expiresIn: number },
  ): Promise<URL> {
    await this.#readKeyFile()
    const now = Date.now()
    const file = this.#client.bucket(bucket).file(name)
    const [url] = await this.#within(
      file.getSignedUrl({
        version: 'v4',
        action: o.method === 'GET' ? 'read' : 'write',
        accessibleAt: now,
        expires: now + o.expiresIn * 1000,
      }),
    )
    return new URL(url)
  }

  /** Here rather than by the SDK, which writes a warning for it to the console. */
  async #readKeyFile(): Promise<void> {
    if (this.#keyFile === undefined || this.#client.authClient.jsonContent !== null) return
    try {
      this.#client.authClient.jsonContent = JSON.parse(await readFile(this.#keyFile, 'utf8'))
    } catch (error) {
      const why =
        error instanceof SyntaxError ? 'is not JSON' : `cannot be read (${(error as NodeJS.ErrnoException).code})`
      throw new CredentialsFailure(
        error instanceof SyntaxError ? 'wrong' : 'missing',
        `the key file ${this.#keyFile} ${why}`,
      )
    }
  }

  async #within<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
    const { promise: over, reject } = Promise.withResolvers<never>()
    const timer = setTimeout(
      () => reject(new CredentialsFailure('unreachable', `none came within ${this.#timeout} ms`)),
      this.#timeout,
    )
    const onAbort = () => reject(abortError(signal as AbortSignal))
    signal?.addEventListener('abort', onAbort, { once: true })
    try {
      return await Promise.race([work, over])
    } catch (error) {
      throw error instanceof CredentialsFailure || isHubError(error, 'ABORTED') ? error : failureOf(error)
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
    }
  }
}

/**
 * What went wrong, told without the error itself: those of the SDK hold requests with tokens, and those of JSON.parse a piece of the key.
 */
function failureOf(error: unknown): CredentialsFailure {
  const { code, status, message, response } = error as {
    readonly code?: string | number
    readonly status?: number
    readonly message?: string
    readonly response?: {
      readonly status?: number
      readonly data?: { readonly error?: string; readonly error_description?: string }
    }
  }
  const text = String(message ?? '')
  const said = response?.data
  if (typeof said?.error === 'string') {
    const description = String(said.error_description ?? '')
    // Of a key's own token: "Check your iat and exp values in the JWT claim." That a login has expired is none of the clock's.
    const kind = /\b(iat|exp)\b|reasonable timeframe|clock/i.test(description) ? 'skew' : 'wrong'
    return new CredentialsFailure(
      kind,
      `the token service answered ${said.error} (${description || 'no more was said'})`,
    )
  }
  if (/iam\.serviceAccounts\.signBlob|Service Account Credentials API/i.test(text))
    return new CredentialsFailure('unsignable', 'IAM did not sign in the name of its service account')
  if (/Could not load the default credentials/.test(text)) return new CredentialsFailure('missing', 'none were found')
  if (/does not exist, or it is not a file/.test(text) || code === 'ENOENT' || code === 'EACCES')
    return new CredentialsFailure('missing', 'the key file that was named is not there, or cannot be read')
  if (error instanceof SyntaxError) return new CredentialsFailure('wrong', 'the key file is not JSON')
  if (/DECODER|PEM|asn1|private key/i.test(text))
    return new CredentialsFailure('wrong', 'the private key cannot be read')
  const answered = response?.status ?? status
  if (answered !== undefined && answered < 500)
    return new CredentialsFailure('wrong', `the token service answered ${answered}`)
  if (answered !== undefined) return new CredentialsFailure('unreachable', `the token service answered ${answered}`)
  if (typeof code === 'string' && /^(E[A-Z_]+|UND_ERR\w+)$/.test(code))
    return new CredentialsFailure('unreachable', `the token service cannot be reached (${code})`)
  return new CredentialsFailure('wrong', 'they are not of a kind that Google knows, or incomplete')
}
