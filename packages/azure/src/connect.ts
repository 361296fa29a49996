import {
  BlobServiceClient,
  ContainerClient,
  isPipelineLike,
  newPipeline,
  StorageSharedKeyCredential,
} from '@azure/storage-blob'
import { HubError, redactUrl } from '@tensorhub/core'
import { agentFor } from './agent.ts'
import type { Where } from './errors.ts'
import { type AzureConnectionOptions, type AzureOptions, invalid } from './options.ts'

/** What the caller authenticates with; `client` means that it is the client's own affair. */
type Proof =
  | { readonly kind: 'key'; readonly credential: StorageSharedKeyCredential; readonly key: string }
  | { readonly kind: 'sas'; readonly token: string }
  | { readonly kind: 'identity' }
  | { readonly kind: 'client'; readonly client: ContainerClient }

export interface Target {
  readonly where: Where
  readonly proof: Proof
  /** The account's URL, without secrets. */
  readonly service: string
}

export interface Connection {
  readonly container: ContainerClient
  /** The account, as the container's client reaches it. */
  readonly service: BlobServiceClient
  close(): void
}

/** Who is meant, and by what proof; no request is made. @throws INVALID naming what is missing or contradicts. */
export function targetOf(options: AzureOptions): Target {
  if (options.client !== undefined) return ofClient(options.client, options)
  const { container } = options
  // https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata#container-names
  if (typeof container !== 'string' || !/^(\$root|\$web|(?=.{3,63}$)[a-z0-9]+(-[a-z0-9]+)*)$/.test(container))
    throw invalid(
      'container must be the name of a container: 3 to 63 lower-case letters, digits and single dashes.',
      'container',
    )
  const { service, account, proof } = serviceOf(options)
  return { service, proof, where: { host: new URL(service).host, account, container, ...expiryOf(proof) } }
}

/** Account, endpoint and secret as options that need no environment. They hold the secret. @throws INVALID as {@link targetOf}. */
export function secretOf(options: AzureConnectionOptions): Record<string, string> {
  const { service, account, proof } = serviceOf(options)
  const secret: Record<string, string> =
    proof.kind === 'key' ? { key: proof.key } : proof.kind === 'sas' ? { sasToken: proof.token } : {}
  return { account, endpoint: service, ...secret }
}

/** Makes the client. @throws UNSUPPORTED naming `@azure/identity` where it is needed and not installed. */
export async function connect(target: Target, timeout: number): Promise<Connection> {
  const { proof, service, where } = target
  if (proof.kind === 'client') {
    const { client } = proof
    // Its pipeline is not public, and is the way to the account: the caller's proxy, certificates and policies are in it.
    const pipeline: unknown = Reflect.get(client, 'pipeline')
    const account = isPipelineLike(pipeline)
      ? new BlobServiceClient(service, pipeline)
      : new BlobServiceClient(service, client.credential)
    return { container: client, service: account, close: () => undefined }
  }
  const credential =
    proof.kind === 'key' ? proof.credential : proof.kind === 'identity' ? await identity(where) : undefined
  const agent = agentFor(service, timeout)
  // What the pipeline takes beyond its own options goes to core-rest-pipeline, `agent` among it.
  const options = { retryOptions: { maxTries: 1 }, userAgentOptions: { userAgentPrefix: 'tensorhub' }, agent }
  const sas = proof.kind === 'sas' ? `?${proof.token}` : ''
  const url = `${service}/${encodeURIComponent(where.container)}${sas}`
  const pipeline = newPipeline(credential, options)
  return {
    container: new ContainerClient(url, pipeline),
    service: new BlobServiceClient(service, pipeline),
    close: () => agent.destroy(),
  }
}

function ofClient(client: ContainerClient, options: AzureOptions): Target {
  const given = ['container', 'account', 'key', 'sasToken', 'connectionString', 'endpoint']
  const extra = given.find((name) => Reflect.get(options, name) !== undefined)
  if (extra !== undefined) throw invalid(`azure() takes client or ${extra}, not both: the client knows its own.`, extra)
  if (typeof client?.getBlockBlobClient !== 'function')
    throw invalid('client must be a ContainerClient of @azure/storage-blob.', 'client')
  const url = new URL(client.url)
  const service = `${url.origin}${url.pathname.split('/').slice(0, -1).join('/')}`
  const where = { host: url.host, account: client.accountName, container: client.containerName }
  return { where, proof: { kind: 'client', client }, service }
}

function expiryOf(proof: Proof): Pick<Where, 'expires'> {
  const expires = proof.kind === 'sas' ? Date.parse(new URLSearchParams(proof.token).get('se') ?? '') : Number.NaN
  return Number.isNaN(expires) ? {} : { expires: new Date(expires) }
}

interface Service {
  readonly service: string
  readonly account: string
  readonly proof: Proof
}

function serviceOf(options: AzureConnectionOptions): Service {
  const { connectionString, account, key, sasToken, endpoint } = options
  if (connectionString !== undefined) {
    const extra = (['account', 'key', 'sasToken', 'endpoint'] as const).find((name) => options[name] !== undefined)
    if (extra !== undefined) throw invalid(`azure() takes connectionString or ${extra}, not both.`, extra)
    return ofConnectionString(connectionString, 'connectionString')
  }
  if (key !== undefined && sasToken !== undefined) throw invalid('azure() takes key or sasToken, not both.', 'sasToken')
  const known = fromEnvironment()
  // Secrets of the environment belong to the account that it names, and go to no other.
  const named = account ?? (endpoint === undefined ? undefined : accountOf(endpoint))
  const own: Environment = named === undefined || known.account === undefined || known.account === named ? known : {}
  if (key === undefined && sasToken === undefined && own.connectionString !== undefined && endpoint === undefined) {
    const service = ofConnectionString(own.connectionString, 'AZURE_STORAGE_CONNECTION_STRING')
    if (named === undefined || service.account === named) return service
  }
  const owner = named ?? known.account
  if (owner === undefined)
    throw invalid(
      'azure() needs to know the storage account: give account, connectionString or client, or set AZURE_STORAGE_ACCOUNT or AZURE_STORAGE_CONNECTION_STRING.',
      'account',
    )
  if (!/^[a-z0-9]{3,24}$/.test(owner) && endpoint === undefined)
    throw invalid('account must be the name of a storage account: 3 to 24 lower-case letters and digits.', 'account')
  const service = endpoint === undefined ? `https://${owner}.blob.core.windows.net` : endpointOf(endpoint)
  const theKey = key ?? (sasToken === undefined ? own.key : undefined)
  const isSecret = (theKey ?? sasToken ?? own.sasToken) !== undefined
  if (!isSecret && !service.startsWith('https:'))
    throw invalid(
      'endpoint must be an https URL: without key and sasToken a sign-in is used, and its token must not be sent in the clear.',
      'endpoint',
    )
  const theToken = sasToken ?? (theKey === undefined ? own.sasToken : undefined)
  return { service, account: owner, proof: proofOf(owner, theKey, theToken) }
}

function proofOf(account: string, key: string | undefined, sasToken: string | undefined): Proof {
  if (key !== undefined)
    return { kind: 'key', key, credential: new StorageSharedKeyCredential(account, checkedKey(key)) }
  if (sasToken === undefined) return { kind: 'identity' }
  const token = sasToken.replace(/^\?/, '')
  if (!/(^|&)sig=/.test(token)) throw invalid('sasToken is no shared access signature: it has no sig.', 'sasToken')
  return { kind: 'sas', token }
}

function checkedKey(key: string): string {
  if (/^[A-Za-z0-9+/]+={0,2}$/.test(key)) return key
  throw invalid('key must be an account key, which is base64.', 'key')
}

interface Environment {
  readonly connectionString?: string | undefined
  readonly account?: string | undefined
  readonly key?: string | undefined
  readonly sasToken?: string | undefined
}

/** Names as the `az` command reads them. Empty is unset. */
function fromEnvironment(): Environment {
  const read = (name: string) => process.env[name] || undefined
  return {
    connectionString: read('AZURE_STORAGE_CONNECTION_STRING'),
    account: read('AZURE_STORAGE_ACCOUNT'),
    key: read('AZURE_STORAGE_KEY'),
    sasToken: read('AZURE_STORAGE_SAS_TOKEN'),
  }
}

function ofConnectionString(text: string, path: string): Service {
  let client: BlobServiceClient
  try {
    client = BlobServiceClient.fromConnectionString(text)
  } catch (error) {
    // The SDK's messages name the part that is wrong, never its value.
    throw invalid(`${path} cannot be used: ${(error as Error).message}`, path)
  }
  const { credential, accountName: account } = client
  const url = new URL(client.url)
  const service = `${url.origin}${url.pathname}`.replace(/\/+$/, '')
  if (credential instanceof StorageSharedKeyCredential) {
    // The SDK keeps it to itself. Its own strings ('UseDevelopmentStorage=true') hold none: it is what the credential was made of.
    const key =
      /(?:^|;)\s*AccountKey=([^;]+)/i.exec(text)?.[1] ??
      String(Reflect.get(credential, 'accountKey').toString('base64'))
    return { service, account: credential.accountName, proof: { kind: 'key', credential, key } }
  }
  return { service, account, proof: proofOf(account, undefined, url.search) }
}

function endpointOf(endpoint: string): string {
  const url = URL.parse(endpoint)
  if (url === null || !/^https?:$/.test(url.protocol) || url.username !== '' || url.search !== '' || url.hash !== '')
    throw invalid(
      `endpoint '${redactUrl(endpoint)}' must be an http or https URL without login and parameters, such as https://account.blob.core.windows.net.`,
      'endpoint',
    )
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

/** The account that an endpoint names: the first label of the host, or, of an address, the first step of the path. */
function accountOf(endpoint: string): string | undefined {
  const { hostname, pathname } = new URL(endpointOf(endpoint))
  const byPath = pathname.split('/')[1]
  return byPath || (/^[0-9.]+$|^\[|^localhost$/.test(hostname) ? undefined : hostname.split('.')[0])
}

async function identity({ account }: Where) {
  // Loaded only where an account is used without any secret: most users need none of its packages.
  const name = '@azure/identity'
  try {
    const { DefaultAzureCredential } = await import('@azure/identity')
    return new DefaultAzureCredential()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ERR_MODULE_NOT_FOUND') throw error
    throw new HubError(
      'UNSUPPORTED',
      `No key or SAS token was given for the storage account '${account}', so it is used with DefaultAzureCredential, which needs: npm i ${name}`,
      { at: { scheme: 'azure', op: 'open' }, reason: 'PACKAGE_MISSING' },
    )
  }
}
