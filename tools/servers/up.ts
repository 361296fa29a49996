/**
 * Starts one server of each store and says how to reach it, until Ctrl-C: `npm run servers`.
 * The servers listen on 127.0.0.1 and free ports; their data lie in temporary folders (a container's in a volume) and are gone in the end.
 */
import { BLOBS, INDEXES, type OpenLayer } from './layers.ts'
import { ServerMissing } from './locate.ts'
import { OWN_SERVER } from './own-server.ts'
import type { Origin } from './server.ts'
import { exportsOf, type Started } from './up-exports.ts'

const LAYERS = [
  { name: 'MongoDB', use: 'index and blobs', store: 'mongodb', layer: INDEXES.mongodb },
  { name: 'S3', use: 'blobs', store: 's3', layer: BLOBS.s3 },
  { name: 'Google Cloud Storage', use: 'blobs', store: 'gcs', layer: BLOBS.gcs },
  { name: 'Azure', use: 'blobs', store: 'azure', layer: BLOBS.azure },
] as const

const FROM: Readonly<Record<Origin, string>> = {
  environment: 'as the environment says',
  PATH: 'from PATH',
  cache: 'from the cache',
  install: 'installed just now',
  npm: 'from npm',
  container: 'in a container',
}

const print = (line: string) => process.stdout.write(`${line}\n`)

const set = Object.values(OWN_SERVER).filter((name) => process.env[name])
if (set.length > 0) throw new Error(`${set.join(', ')} names a server that runs already; unset it to start one here`)

const running: OpenLayer[] = []
const started: Started[] = []
const missing: string[] = []
await Promise.all(
  LAYERS.map(async ({ name, use, store, layer }) => {
    try {
      const open = await layer.open()
      running.push(open)
      if (open.server !== undefined) started.push({ name, use, store, server: open.server, url: await open.newUrl() })
    } catch (error) {
      if (!(error instanceof ServerMissing)) throw error
      missing.push(`${name}: ${error.message}`)
    }
  }),
)

const order = LAYERS.map(({ store }) => store)
started.sort((a, b) => order.indexOf(a.store) - order.indexOf(b.store))
const rows = started.map(({ name, use, server, url }) => [name, server.name, FROM[server.from], use, url])
const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
print('')
for (const row of rows) print(row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '))
print('\nFor hubs and tests in another shell:\n')
for (const line of exportsOf(started)) print(line)
const urlOf = (store: Started['store']) => started.find((one) => one.store === store)?.url
const [index, blobs] = [urlOf('mongodb'), urlOf('s3')]
if (index !== undefined && blobs !== undefined)
  print(`\nThe demo on MongoDB and S3, there:\n\nnpm run demo -- --quick --index '${index}' --blobs '${blobs}'`)
for (const line of missing) print(`\nmissing, ${line}`)
print('\nCtrl-C stops them and removes their data.')

const stop = async () => {
  await Promise.all(running.map((layer) => layer.close()))
  process.exit(0)
}
// Servers alone do not keep this process alive.
const alive = setInterval(() => undefined, 60_000)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => {
    clearInterval(alive)
    void stop()
  })
}
