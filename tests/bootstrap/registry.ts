import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** What is done with a request for a package's bytes. */
export type Weather = 'serve' | 'stall' | 'cut' | 'deny'

/** A registry as npm sees it, on this machine, with packages made here; it counts what is fetched, and can fail. */
export class Registry {
  readonly #server: Server
  readonly #tarballs = new Map<string, { name: string; version: string; bytes: Buffer }>()
  /** Names of the packages whose bytes were asked for, in order. */
  readonly fetched: string[] = []
  weather: Weather = 'serve'

  constructor() {
    this.#server = createServer((request, response) => this.#answer(request, response))
  }

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  /** Adds a package of one program: a shell script at `path`. `folder` is for its making. */
  async add(folder: string, name: string, version: string, path: string, script: string): Promise<void> {
    const home = join(folder, encodeURIComponent(name), 'package')
    await mkdir(dirname(join(home, path)), { recursive: true })
    await writeFile(join(home, 'package.json'), JSON.stringify({ name, version }))
    await writeFile(join(home, path), `#!/bin/sh\n${script}\n`)
    await chmod(join(home, path), 0o755)
    const tarball = `${home}.tgz`
    await run('tar', ['-czf', tarball, '-C', dirname(home), 'package'])
    this.#tarballs.set(name, { name, version, bytes: await readFile(tarball) })
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent((request.url ?? '').slice(1))
    const [name = '', tarball] = path.split('/-/')
    const found = this.#tarballs.get(name)
    if (found === undefined) {
      response.writeHead(404, { 'content-type': 'application/json' }).end('{"error":"not found"}')
    } else if (tarball === undefined) {
      const dist = { tarball: `${this.url}${name}/-/${found.version}.tgz` }
      response.writeHead(200, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({
          name,
          'dist-tags': { latest: found.version },
          versions: { [found.version]: { name, version: found.version, dist } },
        }),
      )
    } else {
      this.fetched.push(name)
      this.#send(found.bytes, response)
    }
  }

  #send(bytes: Buffer, response: ServerResponse): void {
    if (this.weather === 'deny') {
      response.writeHead(503).end()
      return
    }
    response.writeHead(200, { 'content-length': bytes.length })
    if (this.weather === 'serve') response.end(bytes)
    else response.write(bytes.subarray(0, bytes.length >> 1), () => this.weather === 'cut' && response.destroy())
  }
}
