import { IndexStore, type Predicate, StoreClock } from '@tensorhub/core'
import { CLAIM_ORDER, type Claim, LEASE, TaskProtocol } from '../../../src/tasks/protocol.ts'
import { type Mutation, Violation, World } from './world.ts'

const PROJECT: Predicate = { op: 'eq', path: ['project_name'], value: 'p' }
const TASKS = 3
const RUNNERS = 3

/**
 * Runners, a dispatcher that cancels, stalls beyond leases, deaths and lost replies, in an order that the decisions give; the protocol is the
 * product's own code. Ends when every task has ended (I3).
 *
 * @throws Violation of an invariant of tasks.md §9, with the history.
 */
export async function schedule(
  decisions: readonly number[],
  mutation?: Mutation,
): Promise<{ commits: number; zombies: number }> {
  const world = new World(decisions, 4, mutation)
  const store = new IndexStore(world.driver)
  const setUp = Promise.all(
    Array.from({ length: TASKS }, (_, n) => store.insert('tasks', [taskOf(`t${n}`, world.time + n)])),
  )
  const { faults } = world
  world.faults = 0
  await world.run([setUp])
  world.faults = faults
  const counts = { commits: 0, zombies: 0 }
  const committed = new Map<string, string>()
  let deaths = 2

  const protocolOf = () =>
    new TaskProtocol(store, new StoreClock(store, { monotonic: () => world.time }), (ms) => world.sleep(ms))

  const unfinished = () => world.tasks().some((doc) => ['pending', 'running'].includes(String(doc['status'])))

  async function attempt(protocol: TaskProtocol, claim: Claim): Promise<'died' | undefined> {
    const { _id: id, epoch, lease_ms: lease } = claim.doc
    for (;;) {
      // The first, which is taken when nothing else is decided, ends the task.
      const end = { result: { epoch, by: claim.nonce }, output: '' }
      switch (world.choose(7)) {
        case 0: {
          if ((await protocol.commit(claim, end)) === null) {
            counts.zombies++
            return undefined
          }
          counts.commits++
          if (committed.has(id)) throw new Violation(`I1: ${id} was committed twice\n${world.deeds.join('\n')}`)
          committed.set(id, claim.nonce)
          return undefined
        }
        case 1:
          await protocol.fail(claim, { code: 'SCRIPT_ERROR', message: 'no' }, end, { infra: false })
          return undefined
        case 2:
          await protocol.release(claim)
          return undefined
        case 3:
          // Suspended, or its script takes long while heartbeats are lost.
          await world.sleep(lease * 2)
          continue
        case 4:
          if (deaths-- > 0) return 'died'
          continue
        default: {
          let doc: Awaited<ReturnType<TaskProtocol['heartbeat']>>
          try {
            doc = await protocol.heartbeat(claim, lease, null)
          } catch {
            continue // No definite answer.
          }
          if (doc === null) return undefined
          if (doc.cancel_requested) {
            await protocol.cancelRunning(claim, '')
            return undefined
          }
          await world.sleep(lease / 4)
        }
      }
    }
  }

  /** Comes back as another process when it dies. A call that fails for good is tried again, as a runner's loop does. */
  async function runner(): Promise<void> {
    const protocol = protocolOf()
    while (unfinished()) {
      try {
        await protocol.reap('p')
        const claim = await protocol.claim(PROJECT, CLAIM_ORDER, LEASE)
        if (claim === null) await world.sleep(5000)
        else if ((await attempt(protocol, claim)) === 'died') return runner()
      } catch (error) {
        if (error instanceof Violation) throw error
        await world.sleep(1000)
      }
    }
  }

  async function canceller(): Promise<void> {
    const protocol = protocolOf()
    if (world.choose(3) !== 1) return
    for (let waits = world.choose(40); waits > 0; waits--) await world.turn()
    const one: Predicate = { op: 'eq', path: ['_id'], value: `t${world.choose(TASKS)}` }
    try {
      await protocol.reap('p')
      await protocol.cancel(one)
    } catch (error) {
      if (error instanceof Violation) throw error
    }
  }

  await world.run([canceller(), ...Array.from({ length: RUNNERS }, runner)])
  for (const doc of world.tasks()) {
    const by = (doc['result'] as { by?: string }).by
    if (doc['status'] === 'finished' && committed.has(doc._id) && committed.get(doc._id) !== by)
      throw new Violation(`I1: ${doc._id} holds the result of another than who was told\n${world.deeds.join('\n')}`)
    if (doc['status'] !== 'finished' && committed.has(doc._id))
      throw new Violation(`I1: ${doc._id} was acknowledged and is ${doc['status']}\n${world.deeds.join('\n')}`)
  }
  return counts
}

function taskOf(id: string, time: number) {
  return {
    _id: id,
    project_name: 'p',
    task_name: 't',
    time: new Date(time),
    status: 'pending',
    priority: 0,
    not_before: new Date(0),
    max_attempts: 3,
    attempts: 0,
    infra_failures: 0,
    epoch: 0,
    claim: null,
    last_claim: null,
    lease_ms: LEASE,
    lease_until: null,
    heartbeat_at: null,
    progress: null,
    cancel_requested: false,
    result: {},
    error: null,
  }
}
