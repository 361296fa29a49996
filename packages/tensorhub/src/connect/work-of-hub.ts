import { createHash, randomUUID } from 'node:crypto'
import { join, resolve } from 'node:path'

/**
 * The folder of one hub's scripts inside a `workDir` that several hubs may share. Tasks of two hubs can have the same id (it comes of the
 * `idempotencyKey`, or one index is a copy of the other): in one folder they would unpack over each other, and each would sweep the other's away.
 *
 * @param place What names the hub in every process of this machine, without secrets; undefined for one that only its own process can reach.
 */
export function workOfHub(workDir: string, place: string | undefined): string {
  const name = place === undefined ? randomUUID() : createHash('sha256').update(place).digest('hex').slice(0, 16)
  return join(resolve(workDir), name)
}
