import { createRequire } from 'node:module'
import type { Recipe } from '../install/recipe.ts'
import { FAKE_GCS, MONGO_JAVA, MOTO, SECANTUS, SECANTUS_PYTHON, VERSITYGW } from '../install/recipes.ts'
import type { BlobsName, IndexName } from '../layers.ts'
import { locate, ServerMissing } from '../locate.ts'
import { OWN_SERVER, ownServer } from '../own-server.ts'

/** What a suite can ask for. */
export type ServerKind = 'mongodb' | 'mongodb-python' | 'mongodb-java' | 's3' | 'moto' | 'gcs' | 'azure'

const RECIPES_OF: Readonly<Record<Exclude<ServerKind, 'azure'>, readonly Recipe[]>> = {
  mongodb: [SECANTUS, SECANTUS_PYTHON],
  'mongodb-python': [SECANTUS_PYTHON],
  'mongodb-java': [MONGO_JAVA],
  s3: [VERSITYGW],
  moto: [MOTO],
  gcs: [FAKE_GCS],
}

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
 * is expected: `all` (absence is a failure), `cached` (nothing is installed), `none` (no server suite runs, Azurite's neither).
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
  const fails = expected === 'all'
  if (kind === 'azure') return azurite() ? undefined : { reason: 'the npm package azurite is not installed', fails }
  const reasons: string[] = []
  for (const recipe of RECIPES_OF[kind]) {
    try {
      await locate(recipe)
      return undefined
    } catch (error) {
      if (!(error instanceof ServerMissing)) throw error
      reasons.push(error.message)
    }
  }
  return { reason: reasons.join('; or: '), fails }
}

function azurite(): boolean {
  try {
    createRequire(import.meta.url).resolve('azurite/package.json')
    return true
  } catch {
    return false
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
