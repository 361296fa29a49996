import type { TensorHub } from 'tensorhub'
import { type Plan, TASK } from './plan.ts'

function table(rows: readonly (readonly string[])[]): string {
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const line = (row: readonly string[]) =>
    `  ${row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join('   ')}`
  return [line(head), `  ${widths.map((width) => '─'.repeat(width)).join('───')}`, ...rows.slice(1).map(line)].join(
    '\n',
  )
}

/** Prints what the hub knows of every task. @returns whether all finished with more than the plan's accuracy. */
export async function printResults(hub: TensorHub, plan: Plan): Promise<boolean> {
  const tasks = await hub.tasks.find({ task_name: TASK }).toArray()
  const rows: string[][] = []
  const problems: string[] = []
  for (const task of tasks) {
    const name = String(task.description)
    const accuracy = (task.result as { test_accuracy?: number } | undefined)?.test_accuracy
    const training = await hub.findTrainingLogs({ name })
    const models = await hub.models.count({ name })
    const first = training[0]?.loss
    const last = training.at(-1)?.loss
    const fixed = (value: unknown, digits: number) => (typeof value === 'number' ? value.toFixed(digits) : '–')
    rows.push([
      name,
      task.status,
      String(task.attempts ?? '–'),
      `${fixed(first, 3)} → ${fixed(last, 3)}`,
      fixed(accuracy, 4),
      String(models),
    ])
    if (task.status !== 'finished')
      problems.push(`${name} is ${task.status}: ${JSON.stringify(task.error ?? 'no reason given')}`)
    else if (accuracy === undefined || accuracy <= plan.bar)
      problems.push(`${name} has a test accuracy of ${accuracy}; more than ${plan.bar} is expected`)
  }
  if (tasks.length === 0) problems.push('the hub has no tasks')
  console.log(`\n${table([['task', 'state', 'attempts', 'training loss', 'test accuracy', 'models saved'], ...rows])}`)
  const backends = tasks.flatMap((task) => /^TensorFlow\.js: .*$/m.exec(String(task.output ?? '')) ?? [])
  for (const backend of new Set(backends)) console.log(`  ${backend}`)
  for (const problem of problems) console.log(`  ✗ ${problem}`)
  return problems.length === 0
}
