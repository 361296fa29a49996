import type { ConnectionClosedEvent, MongoClient } from 'mongodb'

const counts = new WeakMap<MongoClient, { broken: number }>()

/**
 * How many connections of a client broke so far. The MongoDB driver repeats a write whose reply was lost without saying so; where none broke during a call, its request was sent once.
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
    counts.set(client, counted)
    count = counted
  }
  return count.broken
}
