import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { type ModelCodec, TensorHub } from 'tensorhub'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LAYERS_FORMAT } from '../src/index.ts'

const run = promisify(execFile)
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tensorhub-optional-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs a program that sees `tensorhub` and no @tensorhub/tfjs. */
async function without(text: string): Promise<unknown> {
  const tensorhub = pathToFileURL(join(import.meta.dirname, '..', '..', 'tensorhub', 'src', 'index.ts')).href
  const script = `
    const { TensorHub } = await import(${JSON.stringify(tensorhub)})
    await using hub = await TensorHub.connect(${JSON.stringify(join(folder, 'hub'))}, { projectName: 'optional' })
    const failed = await (async () => { ${text} })().then(() => ({}), ({ code, message }) => ({ code, message }))
    console.log(JSON.stringify(failed))`
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], {
    cwd: folder,
    // Without NODE_PATH, by which the shims of package managers show more than a program may see.
    env: { PATH: process.env.PATH },
  })
  return JSON.parse(stdout)
}

it('a hub works without this package until a model needs it, and then names it', async () => {
  const codec: ModelCodec = {
    format: LAYERS_FORMAT,
    accepts: () => true,
    save: async () => ({ modelTopology: {}, weightSpecs: [], weights: [] }),
    load: async (content) => content,
  }
  {
    await using hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'optional', codecs: [codec] })
    await hub.saveModel({}, 'mlp')
  }
  const named = { code: 'UNSUPPORTED', message: expect.stringContaining('npm i @tensorhub/tfjs') as string }
  expect(await without("await hub.findTopModel('mlp')")).toEqual(named)
  expect(await without("await hub.io('mlp').load()")).toEqual(named)
  const model = '{ predict() {}, save() {}, getWeights() {}, setWeights() {} }'
  expect(await without(`await hub.saveModel(${model}, 'new')`)).toEqual(named)
  // Records need no codec, and neither do other models.
  expect(await without("await hub.models.top('mlp'); await hub.saveModel({ weights: [1] }, 'plain')")).toEqual({})
})
