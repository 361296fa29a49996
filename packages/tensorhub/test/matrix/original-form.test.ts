import { inspect } from 'node:util'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { serverSuite } from '@tensorhub/servers/suite'
import { isHubError, TensorHub } from 'tensorhub'
import { afterAll, beforeAll, expect, it } from 'vitest'

const PASSWORD = 'a p@ss/word:1%'

await serverSuite(
  'mongodb',
  "the original's connection form, with real authentication",
  () => {
    for (const db of ['temp', 'admin']) {
      let server: MongoServer
      beforeAll(async () => {
        server = await startMongo({ auth: { username: 'ann', password: PASSWORD, db } })
      })
      afterAll(() => server.stop())
      const form = () => ({
        ip: '127.0.0.1',
        port: server.port,
        dbname: 'temp',
        username: 'ann',
        password: PASSWORD,
        projectName: 'tutorial',
      })

      it(`saves and finds with a user of the database '${db}'`, async () => {
        await using hub = await TensorHub.connect(form())
        await hub.saveDataset(new Float32Array(100_000).fill(1), 'mnist', { version: '1.0' })
        await hub.saveModel({ weights: new Float32Array(50_000).fill(2) }, 'mlp', { accuracy: 0.8 })
        await using again = await TensorHub.connect(form())
        expect(await again.findTopDataset('mnist')).toStrictEqual(new Float32Array(100_000).fill(1))
        expect(await again.findTopModel({ sort: [['accuracy', -1]] })).toMatchObject({ _accuracy: 0.8 })
        expect([again.ip, again.dbname, again.username]).toEqual(['127.0.0.1', 'temp', 'ann'])
        expect(inspect(again, { depth: 9 })).not.toContain(PASSWORD)
      })

      it(`refuses a wrong password of a user of '${db}', and a missing login`, async () => {
        for (const wrong of [{ password: 'wrong-one' }, { username: null, password: null }]) {
          const error: unknown = await TensorHub.connect({ ...form(), ...wrong }).then(
            () => undefined,
            (failure: unknown) => failure,
          )
          expect(isHubError(error, 'DENIED')).toBe(true)
          expect((error as Error).message).toContain('127.0.0.1')
          expect(inspect(error, { depth: 9 })).not.toMatch(/wrong-one|p@ss|p%40ss/)
        }
      })
    }
  },
  { ours: true },
)
