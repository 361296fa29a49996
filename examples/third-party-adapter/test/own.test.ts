import { spawn } from 'node:child_process'
import { copyFile, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isHubError, openIndex, registerScheme } from '@tensorhub/core'
import { TensorHub } from 'tensorhub'
import { expect, it } from 'vitest'
import { newFolder } from '../../../packages/tensorhub/test/suite/store-pair.ts'
import { oneFileBlobs, oneFileIndex } from '../src/index.ts'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

it('is written in fewer than 200 lines, blank ones not counted', async () => {
  let lines = 0
  for (const name of await readdir(SRC)) {
    const text = await readFile(join(SRC, name), 'utf8')
    lines += text.split('\n').filter((line) => line.trim() !== '').length
    for (const line of text.split('\n')) expect(line.length, `${name}: ${line}`).toBeLessThanOrEqual(120)
  }
  console.log(`${lines} lines`)
  expect(lines).toBeLessThan(200)
})

it('a whole hub is copied into one file, which is sent elsewhere as it is', async () => {
  const folder = await newFolder()
  await using hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'digits', collect: false })
  const value = { weights: new Float32Array(100_000).map((_, i) => i) }
  await hub.saveModel(value, 'mlp', { accuracy: 0.9 })
  const file = join(folder, 'experiment.hub')
  expect(await hub.copyTo({ index: oneFileIndex(file), blobs: oneFileBlobs(file) })).toMatchObject({ documents: 1 })
  // Closed, it is one file: no log lies beside it.
  expect((await readdir(folder)).sort()).toEqual(['experiment.hub', 'hub'])
  const sent = join(await newFolder(), 'received.hub')
  await copyFile(file, sent)
  registerScheme('onefile', () => import('../src/index.ts'))
  const url = `onefile://${sent}`
  await using received = await TensorHub.connect({ index: url, blobs: url, projectName: 'digits' })
  expect({ ...((await received.findTopModel('mlp', { sort: { accuracy: -1 } })) as object) }).toStrictEqual(value)
})

it('SIGKILL at any moment: what was acknowledged is there, and the file opens', async () => {
  const program = fileURLToPath(new URL('./writer.ts', import.meta.url))
  for (let round = 0; round < 10; round++) {
    const file = join(await newFolder(), 'experiment.hub')
    const child = spawn(process.execPath, [program, file], { stdio: ['ignore', 'pipe', 'inherit'] })
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (piece: string) => {
      text += piece
      if (text.split('\n').length > 3 + round * 2) child.kill('SIGKILL')
    })
    await new Promise((resolve) => child.once('close', resolve))
    const acknowledged = text.split('\n').slice(0, -1)
    await using hub = await TensorHub.connect({
      index: oneFileIndex(file),
      blobs: oneFileBlobs(file),
      projectName: 'p',
    })
    for (const name of acknowledged) expect(await hub.datasets.count({ dataset_name: name })).toBe(1)
    expect(await hub.check({ readData: true })).toMatchObject({ problems: [] })
    expect(acknowledged.length).toBeGreaterThan(2)
  }
})

it('a file that is no database: a typed error that names it', async () => {
  const { file } = { file: fileURLToPath(import.meta.url) }
  const failed = openIndex(oneFileIndex(file)).count('docs', { op: 'everything' })
  await expect(failed).rejects.toSatisfy((error) => isHubError(error))
})
