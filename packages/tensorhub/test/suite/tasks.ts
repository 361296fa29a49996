import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Task } from '../../src/index.ts'
import { newFolder, type StorePair } from './store-pair.ts'

/** Rows create_task, run_top_task, delete_tasks, check_unfinished_task of design §7. What tasks are beyond that: test/tasks. */
export function tasks(pair: StorePair): void {
  const script = async () => {
    const file = join(await newFolder(), 'task_script.ts')
    await writeFile(file, 'export default () => ({ test_accuracy: 0 })\n')
    return file
  }
  // Handlers run on any store; scripts in processes of their own need one that another process can reach.
  const scripts = {
    handlers: {
      mnist: (task: Task) => ({ test_accuracy: Number(task.hyperParameters['n_units1']) / 1000, other: 1 }),
    },
  }

  describe('task distribution', () => {
    it('tasks are created, run, waited for and deleted, with the arguments in either form', async () => {
      const hub = await (await pair.create()).connect({ scripts })
      const file = await script()
      const record = await hub.createTask('mnist', file, {
        hyperParameters: { n_units1: 800 },
        savedResultKeys: ['test_accuracy'],
        description: '800-800',
      })
      expect(record).toMatchObject({ task_name: 'mnist', status: 'pending', description: '800-800' })
      await hub.createTask({
        taskName: 'mnist',
        script: file,
        hyperParameters: { n_units1: 600 },
        description: '600-600',
      })
      await hub.createTask('other', file)
      expect(await hub.checkUnfinishedTask('mnist')).toBe(true)
      expect(await hub.checkUnfinishedTask({ taskName: 'mnist', description: '400-400' })).toBe(false)
      // The newest first, as the tutorial's runners ask.
      const newest = await hub.runTask('mnist', { sort: [['time', -1]] })
      expect(newest).toMatchObject({ status: 'finished', result: { test_accuracy: 0.6, other: 1 }, attempt: 1 })
      const oldest = await hub.runTopTask({ taskName: 'mnist' })
      expect(oldest).toMatchObject({
        status: 'finished',
        result: { test_accuracy: 0.8 },
        task: { description: '800-800' },
      })
      expect(await hub.runTopTask('mnist')).toBe(false)
      expect(await hub.checkUnfinishedTask('mnist')).toBe(false)
      expect(await hub.checkUnfinishedTask()).toBe(true)
      expect(await hub.deleteTasks('mnist', { description: '600-600' })).toEqual({ documents: 1 })
      expect(await hub.deleteTasks()).toEqual({ documents: 2 })
      expect(await hub.checkUnfinishedTask()).toBe(false)
    })

    it('no scripts run on a shared hub before it is said which may', async () => {
      const hub = await (await pair.create()).connect({ scripts: { hashes: [] } })
      await hub.createTask('mnist', await script())
      expect(await hub.runTopTask('mnist')).toBe(false)
      expect(await hub.checkUnfinishedTask('mnist')).toBe(true)
    })
  })
}
