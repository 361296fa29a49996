import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { outputFault } from '../../tools/docs/claims.ts'
import { ROOT } from '../../tools/docs/pages.ts'
import { readSnippets } from '../../tools/docs/snippets.ts'
import { serverSuite } from '../../tools/servers/suites/suite.ts'

const EXAMPLE = join(ROOT, 'examples/first-steps')
const BOUND = 300_000
const shown = readSnippets('README.md', readFileSync(join(ROOT, 'README.md'), 'utf8')).find(({ code }) =>
  code.includes('examples/first-steps start'),
)
/** A shell in which nothing is set that could name a store or a server. */
const bare = Object.fromEntries(
  Object.entries(process.env).filter(
    ([name]) => !/^(TENSORHUB_(TEST_|URL|INDEX|BLOBS)|AWS_|AZURE_|GOOGLE_|STORAGE_)/.test(name),
  ),
)
const servers = (env: NodeJS.ProcessEnv) =>
  spawn(process.execPath, [join(ROOT, 'tools/servers/up.ts')], { env, stdio: ['ignore', 'pipe', 'pipe'] })

/** As the README tells it: `npm run servers` in one terminal; what it printed, in another one. */
await serverSuite(
  ['mongodb', 's3', 'gcs', 'azure'],
  "npm run servers, and the README's program on what it printed",
  () => {
    let running: ChildProcess
    let printed = ''
    const urlOf = (scheme: string) => new RegExp(`^.* (${scheme}://\\S+)$`, 'm').exec(printed)?.[1] as string
    const exported = () =>
      Object.fromEntries([...printed.matchAll(/^export (\w+)='(.*)'$/gm)].map(([, name, value]) => [name, value]))

    beforeAll(async () => {
      running = servers(bare)
      await new Promise<void>((resolve, reject) => {
        running.stderr?.setEncoding('utf8').on('data', (text: string) => {
          printed += text
        })
        running.stdout?.setEncoding('utf8').on('data', (text: string) => {
          printed += text
          if (printed.includes('Ctrl-C stops them')) resolve()
        })
        running.once('exit', (code) => reject(new Error(`It ended with ${code}:\n${printed}`)))
      })
    }, BOUND)
    afterAll(() => {
      running.kill('SIGKILL')
    })

    it.each([
      ['mongodb', 'gridfs'],
      ['mongodb', 's3'],
      ['mongodb', 'gs'],
      ['mongodb', 'azblob'],
    ])(
      '%s, %s: prints what the README shows, changed by nothing but the environment',
      async (index, blobs) => {
        // Each run wants an empty hub: the project of the one before is in the database that was printed.
        const database = `${urlOf(index)}-${blobs}`
        const where =
          blobs === 'gridfs'
            ? { TENSORHUB_URL: database }
            : { TENSORHUB_INDEX: database, TENSORHUB_BLOBS: urlOf(blobs) }
        const { stdout } = await promisify(execFile)(process.execPath, [join(EXAMPLE, 'main.ts')], {
          cwd: EXAMPLE,
          env: { ...bare, ...exported(), NO_COLOR: '1', ...where },
        })
        expect(shown?.output, 'the README shows what it prints').toHaveLength(4)
        expect(shown && outputFault(shown, stdout)).toBeUndefined()
      },
      BOUND,
    )

    it('prints a command that runs the demo on MongoDB and S3', () => {
      expect(printed).toContain(`npm run demo -- --quick --index '${urlOf('mongodb')}' --blobs '${urlOf('s3')}'`)
    })

    it(
      'refuses where tests are told to use other servers, and names the variable',
      async () => {
        const refused = servers({ ...bare, ...exported() })
        let said = ''
        refused.stderr.setEncoding('utf8').on('data', (text: string) => {
          said += text
        })
        const [code] = await once(refused, 'close')
        expect(code).toBe(1)
        expect(said).toMatch(/TENSORHUB_TEST_MONGODB.*unset it/)
      },
      BOUND,
    )

    it(
      'stops them all at Ctrl-C',
      async () => {
        running.kill('SIGINT')
        expect(await once(running, 'exit')).toEqual([0, null])
        const ports = [...printed.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port))
        expect(new Set(ports).size).toBe(4)
        for (const port of new Set(ports)) {
          const socket = connect(port, '127.0.0.1')
          const listened = await new Promise((resolve) => {
            socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
          })
          socket.destroy()
          expect(listened, `port ${port}`).toBe(false)
        }
      },
      BOUND,
    )
  },
  { ours: true },
)
