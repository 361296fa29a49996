import type { AzureServer } from './azure.ts'
import type { GcsServer } from './gcs.ts'
import type { MongoServer } from './mongodb.ts'
import { OWN_SERVER } from './own-server.ts'
import type { S3Server } from './s3.ts'
import type { RunningServer } from './server.ts'

export interface Started {
  readonly name: string
  readonly use: string
  readonly store: keyof typeof OWN_SERVER
  readonly server: RunningServer
  readonly url: string
}

/** The lines for a shell: the credentials as the SDKs look for them, and the variables that tests read. */
export function exportsOf(started: readonly Started[]): string[] {
  const lines: string[] = []
  const add = (name: string, value: string) => lines.push(`export ${name}='${value}'`)
  for (const { store, server } of started) {
    if (store === 'mongodb') add(OWN_SERVER.mongodb, (server as MongoServer).url)
    else if (store === 's3') {
      const { endpoint, region, accessKeyId, secretAccessKey } = server as S3Server
      add('AWS_ACCESS_KEY_ID', accessKeyId)
      add('AWS_SECRET_ACCESS_KEY', secretAccessKey)
      add(OWN_SERVER.s3, `${endpoint}?region=${region}`)
    } else if (store === 'gcs') {
      const { endpoint, projectId } = server as GcsServer
      add('STORAGE_EMULATOR_HOST', endpoint)
      add(OWN_SERVER.gcs, `${endpoint}?project=${projectId}`)
    } else {
      const { connectionString } = server as AzureServer
      add('AZURE_STORAGE_CONNECTION_STRING', connectionString)
      add(OWN_SERVER.azure, connectionString)
    }
  }
  return lines
}
