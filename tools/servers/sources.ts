import { AZURITE_IMAGE, FAKE_GCS_IMAGE, type Image, MONGO_IMAGE, VERSITYGW_IMAGE } from './container/images.ts'
import type { Recipe } from './install/recipe.ts'
import { FAKE_GCS, MONGO_JAVA, MOTO, SECANTUS, SECANTUS_PYTHON, VERSITYGW } from './install/recipes.ts'

/** What a suite can ask for. */
export type ServerKind = 'mongodb' | 'mongodb-python' | 'mongodb-java' | 's3' | 'moto' | 'gcs' | 'azure'

/** What serves as a kind of server, in the order in which it is looked for. */
export interface Sources {
  /** An npm package of this repository, and its program. */
  readonly npm?: { readonly name: string; readonly module: string; readonly program: string }
  readonly programs?: readonly Recipe[]
  readonly image?: Image
}

export const SOURCES = {
  mongodb: { programs: [SECANTUS, SECANTUS_PYTHON], image: MONGO_IMAGE },
  'mongodb-python': { programs: [SECANTUS_PYTHON] },
  'mongodb-java': { programs: [MONGO_JAVA] },
  s3: { programs: [VERSITYGW], image: VERSITYGW_IMAGE },
  moto: { programs: [MOTO] },
  gcs: { programs: [FAKE_GCS], image: FAKE_GCS_IMAGE },
  azure: {
    npm: { name: 'Azurite 3.36.0', module: 'azurite', program: 'dist/src/blob/main.js' },
    image: AZURITE_IMAGE,
  },
} satisfies Record<ServerKind, Sources>
