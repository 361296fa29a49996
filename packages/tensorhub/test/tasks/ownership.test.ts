import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { type Partition, partitionedIndex } from '../faults/faulty-index.ts'
import { temporaryFolder, temporaryHub } from '../temporary-hub.ts'
import { isAlive } from './runner.ts'
import { script } from './script-folder.ts'
import { waitUntil } from './wait-until.ts'

const LEASE = 4000

/** Writes its pid, waits for a file, and returns its attempt. */
const WAITS = `
  import { existsSync, writeFileSync } from 'node:fs'
  export default async ({ attempt, hyperParameters: { mark } }) => {
    writeFileSync(mark + attempt, String(process.pid))
    while (!existsSync(mark + attempt + '.go')) await new Promise((r) => setTimeout(r, 20))
    return { attempt }
  }`

/** Two runners on one index; the way of the first one can be cut. */
async function twoRunners() {
  const index = memoryIndex()
  const blobs = memoryBlobs()
  let cut: Partition = 'none'
  const options = async () => ({ projectName: 'p', workDir: await temporaryFolder(), scripts: 'any' as const })
  const first = await TensorHub.connect({ index: partitionedIndex(index, () => cut), blobs, ...(await options()) })
  const second = await TensorHub.connect({ index, blobs, ...(await options()) })
  const mark = join(await temporaryFolder(), 'mark')
  await second.createTask('t', await script(WAITS), { lease: LEASE, hyperParameters: { mark } })
  return {
    first,
    second,
    mark,
    go: async (attempt: number) => writeFile(`${mark}${attempt}.go`, ''),
    cut: (state: Partition) => {
      cut = state
    },
    close: async () => {
      cut = 'none'
      await Promise.all([first.close(), second.close()])
    },
  }
}

const begun = (file: string) => () => existsSync(file) && readFileSync(file, 'utf8') !== ''

describe('F16: a runner that is cut off from the index', { timeout: 180_000 }, () => {
  it.each<Partition>(['refused', 'silent'])(
    'for half its lease (%s) goes on, and its attempt is committed',
    async (how) => {
      const { first, second, mark, go, cut, close } = await twoRunners()
      const run = first.runTopTask('t')
      await waitUntil(begun(`${mark}1`), 'the script')
      const before = (await second.tasks.top())?.heartbeat_at
      cut(how)
      await new Promise((resolve) => setTimeout(resolve, LEASE / 2))
      cut('none')
      await waitUntil(
        async () => Number((await second.tasks.top())?.heartbeat_at) > Number(before),
        'a heartbeat after it',
      )
      expect(await second.runTopTask('t')).toBe(false)
      await go(1)
      expect(await run).toMatchObject({ status: 'finished', attempt: 1, result: { attempt: 1 } })
      expect(await second.tasks.top()).toMatchObject({ attempts: 1, epoch: 1, infra_failures: 0 })
      await close()
    },
  )

  it.each<[Partition, string]>([
    ['refused', 'healed before the runner gives up'],
    ['silent', 'healed before the runner gives up'],
    ['refused', 'until the runner gives up'],
    ['silent', 'until the runner gives up'],
  ])('beyond it (%s, %s) loses the task: another runs it, the late end changes nothing', async (how, length) => {
    const { first, second, mark, go, cut, close } = await twoRunners()
    const run = first.runTopTask('t')
    await waitUntil(begun(`${mark}1`), 'the script')
    const pid = Number(readFileSync(`${mark}1`, 'utf8'))
    cut(how)
    // The second takes the lease back and claims after the backoff.
    let other: Promise<unknown> | undefined
    await waitUntil(async () => {
      other ??= (async () => {
        let outcome = await second.runTopTask('t')
        while (outcome === false) outcome = await second.runTopTask('t')
        return outcome
      })()
      return begun(`${mark}2`)()
    }, 'the second attempt')
    if (length.startsWith('until'))
      await waitUntil(() => !isAlive(pid), 'the end of the first script, by its own runner')
    cut('none')
    await go(1)
    expect(await run).toMatchObject({ status: 'lost', attempt: 1 })
    expect(isAlive(pid)).toBe(false)
    expect(await second.tasks.top()).toMatchObject({ status: 'running', attempts: 2 })
    await go(2)
    expect(await other).toMatchObject({ status: 'finished', attempt: 2 })
    expect(await second.tasks.top()).toMatchObject({ result: { attempt: 2 }, infra_failures: 1, epoch: 3 })
    await close()
  })

  it('that lost the task before it began does not begin', async () => {
    const { first, second, mark, close } = await twoRunners()
    // The first heartbeat, before the script starts, finds the task deleted.
    const run = first.runTopTask('t')
    await waitUntil(async () => (await second.tasks.top())?.status === 'running', 'the claim')
    await second.deleteTasks()
    const outcome = await run
    // Where the deletion came after that heartbeat, the script had begun and was ended.
    expect(outcome).toMatchObject({ status: 'lost' })
    expect(existsSync(`${mark}1.go`)).toBe(false)
    await close()
  })
})

describe('progress', { timeout: 60_000 }, () => {
  it('is carried by the next heartbeat', async () => {
    const hub = await temporaryHub()
    const mark = join(hub.folder, 'work', 'mark')
    await hub.createTask(
      't',
      await script(
        WAITS.replace('writeFileSync(mark', 'progress({ epoch: 3, of: 5 }); writeFileSync(mark').replace(
          '{ attempt, hyper',
          '{ attempt, progress, hyper',
        ),
      ),
      { lease: 3000, hyperParameters: { mark } },
    )
    const run = hub.runTopTask('t')
    await waitUntil(async () => (await hub.tasks.top())?.progress !== null, 'the progress')
    expect((await hub.tasks.top())?.progress).toEqual({ epoch: 3, of: 5 })
    await writeFile(`${mark}1.go`, '')
    expect(await run).toMatchObject({ status: 'finished' })
  })

  it.each([
    ['that cannot be stored', 'new Map()', /cannot be stored/],
    ['that is larger than a document', "'x'.repeat(20 * 2 ** 20)", /at most 65536 are kept/],
  ])('%s does not end the lease', async (_what, value, message) => {
    const hub = await temporaryHub()
    await hub.createTask(
      't',
      await script(
        `export default async ({ progress }) => { progress(${value}); await new Promise((r) => setTimeout(r, 2500)); return {} }`,
      ),
      { lease: 3000 },
    )
    expect(await hub.runTopTask('t')).toMatchObject({ status: 'finished', attempt: 1 })
    const task = await hub.tasks.top()
    expect(String(task?.progress)).toMatch(message)
  })
})
