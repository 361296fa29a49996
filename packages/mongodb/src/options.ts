import { CONNECTION_OPTIONS, type ConnectionOptions } from './connection-options.ts'
import { invalid } from './url.ts'

/** Options of `mongodb()`: a `url` or a `client`, and the database. */
export type MongodbOptions = ConnectionOptions

/** @throws INVALID naming an option that does not exist. */
export function checkOptions(factory: string, options: object, more: readonly string[] = []): void {
  const known: readonly string[] = [...CONNECTION_OPTIONS, ...more]
  const extra = Object.keys(options).find((name) => !known.includes(name))
  if (extra !== undefined) throw invalid(`${factory}() has no option '${extra}'; it knows ${known.join(', ')}.`, extra)
}
