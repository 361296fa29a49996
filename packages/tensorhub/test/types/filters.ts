import { type FilterInput, parseQuery, type TensorHub } from '../../src/index.ts'

/** Compiled, never run: what the compiler says of the namespaces' filters and options. */
export async function filters(hub: TensorHub, metric: string, filter: FilterInput): Promise<void> {
  const { models, datasets, logs, tasks } = hub
  await models.top({ accuracy: { $gte: 0.5 }, model_name: 'mlp' }, { sort: { accuracy: -1 } })
  await models.top('mlp accuracy>=0.5 sort:-accuracy')
  await models.count({ $or: [{ [metric]: { $gt: 0.5 } }, { tags: 'best' }, { time: { $gt: new Date(0) } }] })
  await models.count(filter)
  await datasets.open({ $and: [parseQuery('mnist version:1.0').filter, { 'content.format': 'value' }] })
  await logs.find({ kind: 'training', epoch: { $in: [1, 2] } }).toArray()
  await tasks.wait({ task_name: 'mnist', status: { $in: ['pending', 'running'] } })
  await tasks.runTop({ 'hyper_parameters.rate': { $lt: 1 }, run: { $ne: 'r1' } })
  await models.update({ _id: { $exists: true } }, { set: { accuracy: 1 } })

  // @ts-expect-error an operator that does not exist
  await models.top({ accuracy: { $greater: 0.5 } })
  // @ts-expect-error nor within $or
  models.find({ $or: [{ accuracy: { $greater: 0.5 } }] })
  // @ts-expect-error nor for a change or a delete
  await models.update({ accuracy: { $greater: 0.5 } }, { set: { good: true } })
  // @ts-expect-error nor for a delete
  await datasets.delete({ version: { $like: '1' } })
  // @ts-expect-error nor for logs
  await logs.count({ loss: { $mod: [2, 0] } })
  // @ts-expect-error nor for tasks
  await tasks.runTop({ rate: { $greater: 0.5 } })
  // @ts-expect-error a name is text
  await models.top({ model_name: 5 })
  // @ts-expect-error a state that does not exist
  await tasks.cancel({ status: 'canceled' })
  // @ts-expect-error an option that does not exist
  await models.top({ accuracy: 1 }, { sorted: { accuracy: -1 } })
  // @ts-expect-error a direction is 1 or -1
  await models.top({ accuracy: 1 }, { sort: { accuracy: 'desc' } })
  // @ts-expect-error an option of find alone
  await models.count({}, { limit: 5 })
}
