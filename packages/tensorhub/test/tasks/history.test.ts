import { expect, it } from 'vitest'
import type { TaskRecord } from '../../src/tasks/document.ts'
import { judge, type Start } from './history.ts'

const start = (task: string, attempt: number, runner: number, at: number): Start => ({ task, attempt, runner, at })
const task = (_id: string, status: string, attempts: number, attempt: number) =>
  ({ _id, status, attempts, result: { attempt } }) as unknown as TaskRecord
const told = (id: string, attempt: number) => ({ id, status: 'finished', attempt })

const GOOD = {
  starts: [start('a', 1, 7, 100), start('b', 1, 8, 100), start('b', 2, 7, 1500)],
  told: [told('a', 1), told('b', 2)],
  tasks: [task('a', 'finished', 1, 1), task('b', 'finished', 2, 2)],
  kills: [{ runner: 8, at: 200, held: [{ task: 'b', until: 1100 }] }],
}

it('a good history: what was held by a killed runner is claimed again', () => {
  expect(judge(GOOD)).toEqual({
    ...{ tasks: 2, starts: 3, commits: 2, doubles: 0, stuck: 0, dropped: 0 },
    claimedAgain: [{ after: 1300, beyondLease: 400 }],
  })
})

it('one that was claimed again by a runner that was killed before its start counts from its own lease', () => {
  const kills = [...GOOD.kills, { runner: 9, at: 1400, held: [{ task: 'b', until: 61_300 }] }]
  const starts = [...GOOD.starts.slice(0, 2), start('b', 3, 7, 61_900)]
  const tasks = [task('a', 'finished', 1, 1), task('b', 'finished', 3, 3)]
  expect(judge({ ...GOOD, starts, tasks, kills }).claimedAgain).toEqual([
    { after: 1200, beyondLease: 300 },
    { after: 60_500, beyondLease: 600 },
  ])
})

it.each([
  ['an attempt that began twice', { starts: [...GOOD.starts, start('a', 1, 8, 101)] }, { doubles: 1 }],
  ['an end that was told twice', { told: [...GOOD.told, told('b', 1)] }, { doubles: 1 }],
  [
    'a result of an earlier attempt',
    { tasks: [task('a', 'finished', 1, 1), task('b', 'finished', 2, 1)] },
    { doubles: 1 },
  ],
  [
    'a task that never ended',
    { tasks: [task('a', 'finished', 1, 1), task('b', 'running', 2, 2)] },
    { stuck: 1, commits: 1 },
  ],
  [
    'a task that nobody took again',
    { starts: GOOD.starts.slice(0, 2), tasks: [task('a', 'finished', 1, 1), task('b', 'running', 1, 0)] },
    { dropped: 1, stuck: 1, claimedAgain: [] },
  ],
])('finds %s', (_name, wrong, found) => {
  expect(judge({ ...GOOD, ...wrong })).toMatchObject(found)
})
