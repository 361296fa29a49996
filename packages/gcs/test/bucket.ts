import { randomUUID } from 'node:crypto'
import type { GcsServer } from '@tensorhub/servers'

/** Makes a new, empty bucket. The driver makes none: on Google's a bucket has a place, a class and an owner. */
export async function newBucket(server: Pick<GcsServer, 'endpoint' | 'projectId'>): Promise<string> {
  const name = `tensorhub-${randomUUID()}`
  const reply = await fetch(`${server.endpoint}/storage/v1/b?project=${server.projectId}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name }),
  })
  if (!reply.ok) throw new Error(`bucket ${name} was not made: ${reply.status} ${await reply.text()}`)
  return name
}
