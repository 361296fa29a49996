import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { parse } from 'yaml'
import { azuriteArguments } from '../azure.ts'
import { AZURITE_IMAGE, FAKE_GCS_IMAGE, MONGO_IMAGE, VERSITYGW_IMAGE, withRegistry } from '../container/images.ts'
import { fakeGcsArguments } from '../gcs.ts'
import { startAzure, startGcs, startMongo, startS3 } from '../index.ts'
import { FAKE_GCS, VERSITYGW } from '../install/recipes.ts'
import { mongodArguments } from '../mongod.ts'
import { OWN_SERVER } from '../own-server.ts'
import { versitygwArguments } from '../s3.ts'
import { SOURCES } from '../sources.ts'

const text = (path: string) => readFileSync(fileURLToPath(new URL(`../../../${path}`, import.meta.url)), 'utf8')
const version = (recipe: { readonly name: string }) => recipe.name.split(' ')[1]

interface Service {
  readonly image: string
  readonly command: readonly string[]
  readonly ports: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  readonly volumes: readonly string[]
  readonly healthcheck: { readonly test: readonly string[]; readonly retries: number }
}

afterEach(() => vi.unstubAllEnvs())

describe('docker-compose.yml', () => {
  const source = text('docker-compose.yml')
  const compose = parse(source) as {
    readonly services: Readonly<Record<'mongodb' | 's3' | 'gcs' | 'azure', Service>>
    readonly volumes: Readonly<Record<string, unknown>>
  }
  const { mongodb, s3, gcs, azure } = compose.services

  it('one service a store, each pinned, with a healthcheck, a volume, and one port on 127.0.0.1', () => {
    expect(Object.keys(compose.services)).toEqual(Object.keys(OWN_SERVER))
    for (const service of Object.values(compose.services)) {
      expect(service.image).toMatch(/^[\w./-]+:v?\d+\.\d+\.\d+$/)
      expect(service.ports).toEqual([expect.stringMatching(/^127\.0\.0\.1:(\d+):\1$/)])
      expect(service.healthcheck.test[0]).toBe('CMD')
      expect(service.volumes.map((volume) => volume.split(':')[0])).toEqual([expect.stringMatching(/^\w+$/)])
      expect(Object.keys(compose.volumes)).toContain(service.volumes[0]?.split(':')[0])
    }
  })

  it('the versions are those that the tests run against', () => {
    const { dependencies } = JSON.parse(text('tools/servers/package.json')) as { dependencies: Record<string, string> }
    expect(s3.image).toBe(`versity/versitygw:v${version(VERSITYGW)}`)
    expect(gcs.image).toBe(`fsouza/fake-gcs-server:${version(FAKE_GCS)}`)
    expect(azure.image).toBe(`mcr.microsoft.com/azure-storage/azurite:${dependencies['azurite']}`)
    expect(SOURCES.azure.npm.name).toBe(`Azurite ${dependencies['azurite']}`)
  })

  it('the images are those that tools/servers runs by itself', () => {
    for (const [service, image] of [
      [mongodb, MONGO_IMAGE],
      [s3, VERSITYGW_IMAGE],
      [gcs, FAKE_GCS_IMAGE],
      [azure, AZURITE_IMAGE],
    ] as const) {
      expect(image.image).toBe(service.image)
      expect(`v${version(image)}`).toBe(`v${service.image.split(':')[1]?.replace(/^v/, '')}`)
      expect(service.volumes).toEqual([expect.stringMatching(new RegExp(`^\\w+:${image.data}$`))])
    }
    expect([SOURCES.mongodb, SOURCES.s3, SOURCES.gcs, SOURCES.azure].map(({ image }) => image.image)).toEqual(
      [mongodb, s3, gcs, azure].map(({ image }) => image),
    )
    expect([MONGO_IMAGE, VERSITYGW_IMAGE, FAKE_GCS_IMAGE, AZURITE_IMAGE].map(withRegistry)).toEqual([
      `docker.io/library/${mongodb.image}`,
      `docker.io/${s3.image}`,
      `docker.io/${gcs.image}`,
      azure.image,
    ])
  })

  it('the commands are those of tools/servers, with a container’s addresses', () => {
    const [health] = s3.healthcheck.test.slice(-1)
    expect(s3.command).toEqual(
      versitygwArguments({ listen: ':7070', data: '/data' }).toSpliced(
        2,
        0,
        '--health',
        new URL(health ?? '').pathname,
      ),
    )
    expect(gcs.command).toEqual(
      fakeGcsArguments({ backend: 'filesystem', host: '0.0.0.0', port: 4443, data: '/storage' }),
    )
    expect(azure.command).toEqual(['azurite', ...azuriteArguments({ host: '0.0.0.0', port: 10000, data: '/data' })])
    expect(mongodb.command).toEqual(mongodArguments({ port: 27017, standalone: false }))
  })

  it('MongoDB’s healthcheck initiates a replica set of one under the published address', () => {
    const script = mongodb.healthcheck.test.at(-1) ?? ''
    expect(script).toContain("rs.initiate({ _id: 'rs0', members: [{ _id: 0, host: '127.0.0.1:27017' }] })")
    expect(() => new Function('rs', 'db', 'quit', script)).not.toThrow()
    const run = (status: () => unknown, primary: boolean) => {
      const rs = { status, initiate: vi.fn() }
      const quit = vi.fn()
      new Function('rs', 'db', 'quit', script)(rs, { hello: () => ({ isWritablePrimary: primary }) }, quit)
      return { initiated: rs.initiate.mock.calls.length, quit: quit.mock.calls.flat() }
    }
    const none = () => {
      throw new Error('no replset config has been received')
    }
    expect(run(none, false)).toEqual({ initiated: 1, quit: [1] })
    expect(run(() => ({}), false)).toEqual({ initiated: 0, quit: [1] })
    expect(run(() => ({}), true)).toEqual({ initiated: 0, quit: [] })
  })

  it('the variables in its comment lead to its services', async () => {
    const exports = [...source.matchAll(/^# +export (\w+)='([^']*)'$/gm)].map(
      ([, name = '', value = '']) => [name, value] as const,
    )
    expect(exports.map(([name]) => name)).toEqual(Object.values(OWN_SERVER))
    for (const [name, value] of exports) vi.stubEnv(name, value)
    const servers = [await startMongo(), await startS3(), await startGcs(), await startAzure()]
    const published = [mongodb, s3, gcs, azure].map(({ ports }) => Number(ports[0]?.split(':')[1]))
    expect(servers.map(({ port }) => port)).toEqual(published)
    const { accessKeyId, secretAccessKey } = await startS3()
    expect(s3.environment).toEqual({ ROOT_ACCESS_KEY: accessKeyId, ROOT_SECRET_KEY: secretAccessKey })
  })
})

interface Job {
  readonly env?: Readonly<Record<string, string>>
  readonly strategy: { readonly matrix: Readonly<Record<string, readonly unknown[]>> }
  readonly steps: readonly {
    readonly run?: string
    readonly uses?: string
    readonly env?: Readonly<Record<string, string>>
  }[]
}

describe('the workflow', () => {
  const source = text('.github/workflows/ci.yml')
  const { jobs } = parse(source) as { readonly jobs: Readonly<Record<'gate' | 'mongodb' | 'clouds', Job>> }

  it('every variable that it sets for tests is one that tools/servers reads', () => {
    const names = [...new Set(source.match(/\bTENSORHUB_\w+/g))]
    expect(names.toSorted()).toEqual([...Object.values(OWN_SERVER), 'TENSORHUB_SERVERS'].toSorted())
  })

  it('MongoDB 6, 7 and 8 as replica sets, at the address that the variable says', async () => {
    const { env, strategy, steps } = jobs.mongodb
    expect(strategy.matrix['mongo']).toEqual(['6', '7', '8'])
    const start = steps.map(({ run }) => run ?? '').find((run) => run.includes('docker run')) ?? ''
    // biome-ignore lint/suspicious/noTemplateCurlyInString: GitHub's own syntax
    expect(start).toContain('mongo:${{ matrix.mongo }} mongod --replSet rs0 --bind_ip_all')
    expect(start).toContain("host: '127.0.0.1:27017'")
    for (const [name, value] of Object.entries(env ?? {})) vi.stubEnv(name, value)
    expect(await startMongo()).toMatchObject({ host: '127.0.0.1', port: 27017, ours: false })
    expect((await startMongo()).urlOf('x')).toBe('mongodb://127.0.0.1:27017/x?replicaSet=rs0')
  })

  it('the clouds run only with their secrets, and say so when there are none', () => {
    const { strategy, steps } = jobs.clouds
    expect(strategy.matrix['include']).toEqual([
      { package: 's3', secret: OWN_SERVER.s3 },
      { package: 'gcs', secret: OWN_SERVER.gcs },
      { package: 'azure', secret: OWN_SERVER.azure },
    ])
    expect(steps[0]?.run).toContain('::warning')
    for (const step of steps.slice(1))
      expect(step).toHaveProperty('if', expect.stringMatching(/^steps\.account\.outputs\.given/))
  })

  it('no secret stands in a command', () => {
    for (const { steps } of Object.values(jobs)) for (const { run = '' } of steps) expect(run).not.toContain('secrets')
  })

  it('the gate installs the servers before the tests, and wants all of them', () => {
    const gate = text('.ci/run')
    const order = ['tools/servers/install.ts --all', 'export TENSORHUB_SERVERS=all', "step 'npm test'"].map((part) =>
      gate.indexOf(part),
    )
    expect(order).toEqual(order.toSorted((a, b) => a - b))
    expect(order).not.toContain(-1)
  })
})
