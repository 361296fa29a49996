import type { ConnectionClosedEvent, MongoClient, ServerDescriptionChangedEvent } from 'mongodb'
import { isRefusedInPassing } from './errors.ts'

const counts = new WeakMap<MongoClient, { broken: number }>()

/**
 * How often connections of a client broke so far, or its servers were lost from sight. The MongoDB driver repeats a write whose reply was lost, or that was interrupted, without saying so;
 * where this is the same at the end of a call, its request was sent once at most.
 * Pool events come to whoever listens: https://www.mongodb.com/docs/drivers/node/current/monitoring-and-logging/monitoring/
 */
export function brokenConnections(client: MongoClient): number {
  let count = counts.get(client)
  if (count === undefined) {
    const counted = { broken: 0 }
    client.on('connectionClosed', ({ reason }: ConnectionClosedEvent) => {
      if (reason === 'error' || reason === 'stale') counted.broken++
    })
    client.on('connectionPoolCleared', () => {
      counted.broken++
    })
    client.on('serverDescriptionChanged', ({ previousDescription, newDescription }: ServerDescriptionChangedEvent) => {
      const lost = newDescription.type === 'Unknown' && previousDescription.type !== 'Unknown'
      // One that is no primary says so before it does anything.
      if (lost && !isRefusedInPassing(newDescription.error ?? {})) counted.broken++
    })
    counts.set(client, counted)
    count = counted
  }
  return count.broken
}
