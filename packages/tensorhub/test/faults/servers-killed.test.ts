import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BlobsName } from '@tensorhub/servers/layers'
import { nameOfPair, type OpenPair, openPair } from '@tensorhub/servers/pairs'
import { serverSuite, serversOf } from '@tensorhub/servers/suite'
import { expect, it } from 'vitest'
import { TensorHub } from '../../src/index.ts'
import { LARGE, noise } from '../suite/values.ts'
import { judge, readStarts, startingHandler, type Told } from '../tasks/history.ts'
import { script } from '../tasks/script-folder.ts'
import { waitUntil } from '../tasks/wait-until.ts'
import { temporaryFolder } from '../temporary-hub.ts'
import { type Load, type LoadLine, startLoad } from './loads.ts'
import { FULL } from './scale.ts'

type Server = NonNullable<OpenPair['servers']['index']>

const PROCESSES = 3
const KILLS = FULL ? 30 : 4
/** ms between a server's return and the next kill. */
const PERIOD = 2000
/** How long clients may take to go on after a server has come back: 5 s on a machine with nothing else to do, as the figures show. */
const RECOVERY = 60_000
const BOUND = 900_000

/** A server's kill and return, in ms of the wall clock. Of what it acknowledged from `lossFrom` on it may have lost something. */
interface Kill {
  readonly lossFrom: number
  readonly killed: number
  readonly back: number
}

/**
 * Azurite writes its two indexes, of blobs and of the files that hold their bytes, each every 5 s at most (startAzure): what is newer than either, or was on its
 * way into it, is lost by a kill, and read with 404 or 500. The service keeps what it acknowledged; here only older blobs can be held against the adapter.
 */
const azuriteIndexes = (server: Server) =>
  ['__azurite_db_blob__.json', '__azurite_db_blob_extent__.json'].map((name) => join(server.folder, 'data', name))
const WRITING = 2000

for (const blobs of ['gridfs', 's3', 'gcs', 'azure'] as const satisfies readonly BlobsName[]) {
  const name = nameOfPair('mongodb', blobs)
  const body = () => {
    it('servers killed by SIGKILL and started again under load: nothing acknowledged is lost, no task is lost or doubled, clients go on', {
      timeout: BOUND,
    }, async () => {
      const pair = await openPair('mongodb', blobs, { killed: true })
      const loads: Load[] = []
      try {
        const urls = await pair.newHub()
        await using hub = await TensorHub.connect({
          ...urls,
          projectName: 'tutorial',
          scripts: { handlers: { t: startingHandler } },
        })
        const starts = join(await temporaryFolder(), 'starts')
        const path = await script('export default () => ({})')
        for (let worker = 0; worker < PROCESSES; worker++) loads.push(startLoad(urls, worker, starts, path))
        await Promise.all(loads.map((load) => load.ready))
        const kills = await killInTurn(pair, blobs, loads)
        for (const load of loads) load.stop()
        // An unhandled rejection, and any error that does not say of itself that it may pass, ends a process with another code.
        expect(await Promise.all(loads.map((load) => load.end))).toEqual(loads.map(() => 0))
        const lines = loads.flatMap((load) => load.lines)

        const mayBeLost = ({ begun, at }: LoadLine) => kills.some((kill) => at >= kill.lossFrom && begun <= kill.killed)
        const saves = lines.filter(({ kind }) => kind === 'saved')
        const held = saves.filter((line) => !mayBeLost(line))
        const heldIds = new Set(held.map(({ id }) => id))
        expect(lines.filter(({ kind, id }) => kind === 'unreadable' && heldIds.has(id))).toEqual([])
        let lost = 0
        for (const [worker, load] of loads.entries())
          for (const { id, n } of load.lines.filter((line) => line.kind === 'saved' && heldIds.has(line.id))) {
            const value = await (await hub.datasets.open(id as string))?.load()
            if (value === undefined) lost++
            else expect(value).toStrictEqual({ worker, n, data: noise(LARGE, worker * 100_000 + (n as number)) })
          }
        // Also a record that was never acknowledged is whole where it is seen, but on a store that loses what it acknowledged.
        const loses = kills.some(({ lossFrom }) => Number.isFinite(lossFrom))
        const damaged = loses ? [] : (await hub.check({ readData: true })).problems

        // What was claimed when a server died, or waits for its backoff, comes to its end.
        const told: Told[] = lines.flatMap((line) => (line.kind === 'ran' ? [line as LoadLine & Told] : []))
        await waitUntil(
          async () => {
            const outcome = await hub.runTopTask('t')
            if (outcome) told.push({ id: outcome.task._id, status: outcome.status, attempt: outcome.attempt })
            return !(await hub.checkUnfinishedTask('t'))
          },
          'the end of all tasks',
          300_000,
        )
        const tasks = await hub.tasks.find().toArray()
        const created = new Set(lines.filter(({ kind }) => kind === 'created').map(({ id }) => id))
        const verdict = judge({ starts: readStarts(starts), told, tasks })
        const recovery = recoveryOf(kills, loads)
        console.log(
          `F7 ${name}: ${kills.length} kills under ${PROCESSES} processes; ${saves.length} saves acknowledged, ${held.length} held against the store, ${lost} lost, ${damaged.length} damaged; ` +
            `${verdict.tasks} tasks, ${verdict.commits} commits, ${verdict.doubles} doubles, ${verdict.stuck} stuck; ${lines.filter(({ kind }) => kind === 'failed').length} calls failed; ` +
            `clients went on after ${recovery[recovery.length >> 1]} ms (median), ${recovery.at(-1)} ms (most)`,
        )
        expect({ lost, damaged }).toEqual({ lost: 0, damaged: [] })
        expect(held.length).toBeGreaterThan((PROCESSES * KILLS) / 2)
        expect(verdict).toMatchObject({ tasks: created.size, commits: created.size, doubles: 0, stuck: 0 })
        expect(recovery.at(-1)).toBeLessThan(RECOVERY)
      } finally {
        for (const load of loads) load.stop()
        await pair.close()
      }
    })
  }
  await serverSuite(serversOf('mongodb', blobs), `F7 on ${name}`, body, { ours: true })
}

/** Kills the index's and the blobs' server in turn. */
async function killInTurn(pair: OpenPair, blobs: BlobsName, loads: readonly Load[]): Promise<Kill[]> {
  const servers = [...new Set([pair.servers.blobs, pair.servers.index])].filter((server) => server !== undefined)
  const kills: Kill[] = []
  let back = Date.now()
  for (let n = 0; n < KILLS; n++) {
    const server = servers[n % servers.length] as Server
    const since = back
    await delay(PERIOD)
    await goneOn(loads, since)
    const loses = blobs === 'azure' && server === pair.servers.blobs
    if (loses) await waitUntil(() => savedAt(server) > since + WRITING + PERIOD, 'Azurite to save its index')
    await server.kill()
    const killed = Date.now()
    const lossFrom = loses ? savedAt(server) - WRITING : Number.POSITIVE_INFINITY
    await server.start()
    back = Date.now()
    kills.push({ lossFrom, killed, back })
  }
  await goneOn(loads, back)
  return kills
}

const savedAt = (server: Server) =>
  Math.min(...azuriteIndexes(server).map((file) => (existsSync(file) ? statSync(file).mtimeMs : 0)))

const WORK = ['saved', 'loaded', 'created', 'ran'] as const

/** Every process has done something of each kind that it began since. */
async function goneOn(loads: readonly Load[], since: number): Promise<void> {
  const all = () => {
    if (loads.some((load) => load.ended)) throw new Error('a process ended under the load; its error is above')
    return loads.every(({ lines }) =>
      WORK.every((kind) => lines.some((line) => line.kind === kind && line.begun >= since)),
    )
  }
  await waitUntil(all, 'every process to go on', BOUND / 2)
}

/** ms from each return of a server to each process's first success of each kind after it, least first. */
function recoveryOf(kills: readonly Kill[], loads: readonly Load[]): number[] {
  const times = kills.flatMap(({ back }) =>
    loads.flatMap(({ lines }) =>
      WORK.map(
        (kind) => (lines.find((line) => line.kind === kind && line.at >= back)?.at ?? Number.POSITIVE_INFINITY) - back,
      ),
    ),
  )
  return times.sort((a, b) => a - b)
}
