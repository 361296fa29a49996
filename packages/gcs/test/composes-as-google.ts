import { Agent, createServer, type IncomingHttpHeaders, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { gcsError } from '@tensorhub/servers/proxy'

interface Got {
  readonly method: string
  readonly url: string
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}
interface Reply {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface ComposingServer {
  readonly host: '127.0.0.1'
  readonly port: number
  readonly endpoint: string
  /** Most uploads that were at the server at once. */
  readonly mostUploads: number
  close(): Promise<void>
}

/**
 * fake-gcs-server with what its compose ignores, beside it: the destination's condition, the sources' generations, and `deleteSourceObjects`. So that a condition is
 * looked at and kept in one step, what changes anything goes one after the other.
 */
export async function composesAsGoogle(server: { readonly port: number }): Promise<ComposingServer> {
  const agent = new Agent({ keepAlive: true })
  let last: Promise<unknown> = Promise.resolve()
  let uploads = 0
  let most = 0
  const alone = <T>(work: () => Promise<T>): Promise<T> => {
    const mine = last.then(work)
    last = mine.catch(() => undefined)
    return mine
  }
  const forward = ({ method, url, headers, body }: Got): Promise<Reply> =>
    new Promise((resolve, reject) => {
      const to = request({ host: '127.0.0.1', port: server.port, path: url, method, agent, headers }, async (reply) => {
        const pieces: Buffer[] = []
        for await (const piece of reply) pieces.push(piece as Buffer)
        resolve({ status: reply.statusCode ?? 0, headers: reply.headers, body: Buffer.concat(pieces) })
      })
      to.on('error', reject)
      to.end(body)
    })
  /** A reply as it comes: it may be a large blob. */
  const passed = ({ method, url, headers }: Got, outgoing: ServerResponse) => {
    const to = request({ host: '127.0.0.1', port: server.port, path: url, method, agent, headers }, (reply) => {
      outgoing.writeHead(reply.statusCode ?? 0, reply.headers)
      pipeline(reply, outgoing).catch(() => to.destroy())
    })
    to.on('error', () => outgoing.destroy())
    to.end()
  }
  const bare = (method: string, url: string) => forward({ method, url, headers: {}, body: Buffer.alloc(0) })
  const generationOf = async (path: string): Promise<string> => {
    const { status, body } = await bare('GET', path)
    return status === 404 ? '0' : String((JSON.parse(body.toString()) as { generation: string }).generation)
  }
  const said = (status: number, reason: string): Reply => {
    const { headers = {}, body = '' } = gcsError(status, reason)
    return { status, headers, body: Buffer.from(body) }
  }

  async function compose(got: Got): Promise<Reply> {
    const url = new URL(got.url, 'http://host')
    const into = url.pathname.replace(/\/compose$/, '')
    const objects = into.slice(0, into.lastIndexOf('/o/') + 3)
    const { sourceObjects, deleteSourceObjects } = JSON.parse(got.body.toString()) as {
      sourceObjects: { name: string; generation?: string }[]
      deleteSourceObjects?: boolean
    }
    const wanted = url.searchParams.get('ifGenerationMatch')
    if (wanted !== null && (await generationOf(into)) !== wanted) return said(412, 'conditionNotMet')
    const sources = sourceObjects.map((source) => ({ ...source, path: `${objects}${encodeURIComponent(source.name)}` }))
    for (const { path, generation } of sources)
      if (generation === undefined || (await generationOf(path)) !== generation) return said(404, 'notFound')
    const reply = await forward(got)
    if (reply.status < 300 && deleteSourceObjects === true) for (const { path } of sources) await bare('DELETE', path)
    return reply
  }

  const http = createServer(async (incoming, outgoing) => {
    const upload = incoming.method === 'POST' && incoming.url?.startsWith('/upload/') === true
    if (upload) most = Math.max(most, ++uploads)
    try {
      const pieces: Buffer[] = []
      for await (const piece of incoming) pieces.push(piece as Buffer)
      const { method = '', url = '', headers } = incoming
      const got = { method, url, headers, body: Buffer.concat(pieces) }
      if (method === 'GET') return void passed(got, outgoing)
      const reply = await alone(() => (/\/compose(\?|$)/.test(url) ? compose(got) : forward(got)))
      outgoing.writeHead(reply.status, reply.headers).end(reply.body)
    } catch {
      // A client that went away; a server that is gone.
      outgoing.destroy()
    } finally {
      if (upload) uploads--
    }
  })
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const { port } = http.address() as AddressInfo
  return {
    host: '127.0.0.1',
    port,
    endpoint: `http://127.0.0.1:${port}`,
    get mostUploads() {
      return most
    },
    async close() {
      http.closeAllConnections()
      await new Promise((resolve) => http.close(resolve))
      agent.destroy()
    },
  }
}
