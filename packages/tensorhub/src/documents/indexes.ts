import type { Call, IndexStore, Order } from '@tensorhub/core'

const key = (...fields: readonly string[]): Order => fields.map((field) => ({ path: [field], dir: 1 }))

/** The indexes the facade's own queries stand on: by project and name, and by project, each in order of age (age-order.ts). Those of tasks: tasks/indexes. */
const INDEXES: readonly (readonly [coll: string, keys: Order])[] = [
  ['datasets', key('project_name', 'dataset_name', '_id')],
  ['datasets', key('project_name', '_id')],
  ['models', key('project_name', 'model_name', '_id')],
  ['models', key('project_name', '_id')],
  ['logs', key('project_name', 'kind', '_id')],
  ['logs', key('project_name', '_id')],
]

/** Makes what is missing; harmless when repeated. All at once: to a far server that is one round trip. */
export async function makeFacadeIndexes(index: IndexStore, call: Call): Promise<void> {
  await Promise.all(INDEXES.map(([coll, keys]) => index.ensureIndex(coll, keys, call)))
}
