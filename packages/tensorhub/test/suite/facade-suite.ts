import { describe } from 'vitest'
import { confinement } from './confinement.ts'
import { content } from './content.ts'
import { datasets } from './datasets.ts'
import { defects } from './defects.ts'
import { lifecycle } from './lifecycle.ts'
import { logs } from './logs.ts'
import { models } from './models.ts'
import { namespaces } from './namespaces.ts'
import { order } from './order.ts'
import { receipts } from './receipts.ts'
import { refusals } from './refusals.ts'
import type { StorePair } from './store-pair.ts'
import { tasks } from './tasks.ts'

/**
 * Everything the facade promises (design §6, §7), on one pair of stores. Nothing here knows which: what a store cannot do the same way is no promise
 * of the facade.
 */
export function facadeSuite(pair: StorePair): void {
  describe(`the facade on ${pair.name}`, () => {
    for (const part of [
      datasets,
      models,
      logs,
      tasks,
      namespaces,
      order,
      confinement,
      refusals,
      receipts,
      content,
      lifecycle,
      defects,
    ])
      part(pair)
  })
}
