import { answersHttp, startContainer } from './container/container.ts'
import { type Located, locate } from './locate.ts'
import { notOurs, OWN_SERVER, ownServer } from './own-server.ts'
import { portOf } from './s3.ts'
import { type RunningServer, startServer } from './server.ts'
import { SOURCES } from './sources.ts'

export interface AzureServer extends RunningServer {
  /** The account's URL: `http://127.0.0.1:PORT/devstoreaccount1`. */
  readonly endpoint: string
  readonly account: string
  readonly key: string
  readonly connectionString: string
}

/** Azurite's one account, as published: https://learn.microsoft.com/azure/storage/common/storage-connect-azurite */
const ACCOUNT = 'devstoreaccount1'
const KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='

/** docker-compose.yml says the same. */
export function azuriteArguments(o: { readonly host: string; readonly port: number; readonly data: string }): string[] {
  return [
    ...['--blobHost', o.host, '--blobPort', String(o.port), '--location', o.data],
    ...['--disableTelemetry', '--skipApiVersionCheck', '--silent'],
  ]
}

/**
 * TENSORHUB_TEST_AZURE (a connection string) when it is set; else Azurite, which comes with this repository's own packages.
 *
 * Azurite keeps its metadata in memory and writes them every 5 s (`autosaveInterval` of its LokiBlobMetadataStore): `kill` loses
 * blobs that it acknowledged within that time, and containers too. A test that kills it can hold only what is older against it.
 */
export async function startAzure(): Promise<AzureServer> {
  const own = ownServer('azure')
  if (own !== undefined) return ofConnectionString(own)
  return await startAzurite(await locate(SOURCES.azure))
}

/** Azurite as it was found; `startAzure` is what tests call. */
export async function startAzurite(located: Located): Promise<AzureServer> {
  const server = await ofLocated(located)
  const endpoint = `http://127.0.0.1:${server.port}/${ACCOUNT}`
  const connectionString = `DefaultEndpointsProtocol=http;AccountName=${ACCOUNT};AccountKey=${KEY};BlobEndpoint=${endpoint};`
  return Object.assign(server, { endpoint, account: ACCOUNT, key: KEY, connectionString })
}

async function ofLocated(located: Located): Promise<RunningServer> {
  if (located.from === 'container') {
    const args = (port: number, data: string) => ['azurite', ...azuriteArguments({ host: '0.0.0.0', port, data })]
    return await startContainer(located, ({ port, data }) => ({ args: args(port, data) }), answersHttp)
  }
  const { name, from, command } = located
  const [program, ...first] = command
  const args = (port: number, data: string) => azuriteArguments({ host: '127.0.0.1', port, data })
  return await startServer(name, ({ port, data }) => ({ program, args: [...first, ...args(port, data)] }), { from })
}

function ofConnectionString(text: string): AzureServer {
  const parts = new Map(
    text
      .split(';')
      .flatMap((part) =>
        part.includes('=') ? [[part.split('=', 1)[0] ?? '', part.slice(part.indexOf('=') + 1)]] : [],
      ) as [string, string][],
  )
  const account = parts.get('AccountName')
  const key = parts.get('AccountKey')
  if (!account || !key)
    throw new Error(`${OWN_SERVER.azure} is to be a connection string with AccountName and AccountKey`)
  const scheme = parts.get('DefaultEndpointsProtocol') ?? 'https'
  const suffix = parts.get('EndpointSuffix') ?? 'core.windows.net'
  const endpoint = (parts.get('BlobEndpoint') ?? `${scheme}://${account}.blob.${suffix}`).replace(/\/$/, '')
  const url = new URL(endpoint)
  return Object.assign(notOurs('azure', url.hostname, portOf(url)), { endpoint, account, key, connectionString: text })
}
