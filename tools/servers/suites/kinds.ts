import type { BlobsName, IndexName } from '../layers.ts'
import { locate, ServerMissing } from '../locate.ts'
import { OWN_SERVER, ownServer } from '../own-server.ts'
import { type ServerKind, SOURCES } from '../sources.ts'

export type { ServerKind }

/** Why a suite can't run here; `fails` where the run was to have every server. */
export interface Absence {
  readonly reason: string
  readonly fails: boolean
}

export interface SuiteNeeds {
  /** It kills and starts its server, or asks for one in a special form: a user's own server can't serve it. */
  readonly ours?: boolean
}

/**
 * Looks for a server as `startMongo` and its sisters do, installing it where the toolchain is there. TENSORHUB_SERVERS says what
 * is expected: `all` (absence is a failure), `cached` (nothing is installed or pulled), `none` (no server suite runs, Azurite's neither).
 *
 * @returns undefined when it is there
 */
export async function absenceOf(kind: ServerKind, needs: SuiteNeeds = {}): Promise<Absence | undefined> {
  const expected = process.env['TENSORHUB_SERVERS'] ?? ''
  if (!['', 'all', 'cached', 'none'].includes(expected)) {
    throw new Error(`TENSORHUB_SERVERS is '${expected}'; it may be all, cached or none`)
  }
  if (expected === 'none') return { reason: 'TENSORHUB_SERVERS=none', fails: false }
  if (kind in OWN_SERVER && ownServer(kind as keyof typeof OWN_SERVER) !== undefined) {
    if (!needs.ours) return undefined
    const variable = OWN_SERVER[kind as keyof typeof OWN_SERVER]
    return { reason: `it starts and kills its server, and ${variable} names one that is not ours`, fails: false }
  }
  try {
    await locate(SOURCES[kind])
    return undefined
  } catch (error) {
    if (!(error instanceof ServerMissing)) throw error
    return { reason: error.message, fails: expected === 'all' }
  }
}

const KIND_OF_LAYER: Readonly<Record<IndexName | BlobsName, ServerKind | undefined>> = {
  sqlite: undefined,
  mongodb: 'mongodb',
  fs: undefined,
  gridfs: 'mongodb',
  s3: 's3',
  gcs: 'gcs',
  azure: 'azure',
}

/** The servers that these layers need; none for files. */
export function serversOf(...layers: readonly (IndexName | BlobsName)[]): ServerKind[] {
  return [...new Set(layers.flatMap((layer) => KIND_OF_LAYER[layer] ?? []))]
}
