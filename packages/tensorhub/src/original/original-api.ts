import { type Call, HubError, isHubError, type SortInput } from '@tensorhub/core'
import type { DatasetRecord, LogRecord, ModelRecord } from '../documents/record.ts'
import type { Informed } from '../models/info.ts'
import type { DeleteReceipt, TransferOptions } from '../namespaces/content-namespace.ts'
import type { Datasets } from '../namespaces/datasets.ts'
import type { Logs } from '../namespaces/logs.ts'
import type { Models } from '../namespaces/models.ts'
import type { RunTopOptions, Tasks } from '../namespaces/tasks.ts'
import { REFUSED, SPEC_KEYS, type TaskSpec } from '../tasks/create-task.ts'
import type { TaskRecord } from '../tasks/document.ts'
import type { TaskOutcome } from '../tasks/run-top-task.ts'
import {
  deletionOf,
  type FilterKeywords,
  type FindKeywords,
  filterOf,
  type Keywords,
  type NamedArguments,
  readArguments,
  risingProgress,
  type SaveKeywords,
  sortOf,
  transferOf,
} from './keywords.ts'

/** A found value: of type T where the caller names one, or false when nothing matches. */
export type Found<T> = unknown extends T ? unknown : T | false
/** A found model: of type T where the caller names one, with its tags; or false when nothing matches. */
export type FoundModel<T> = unknown extends T ? unknown : (T & Informed) | false

/** A filter of logs, with an order. */
type LogQuery = FilterKeywords & { readonly sort?: SortInput }

const FIND = ['sort', 'signal', 'onProgress']

/**
 * The original `tl.db.TensorHub`, method by method, in camelCase: a thin layer over the namespaces. Leading parameters are positional or stand in the
 * trailing object, which holds the keyword arguments: what is no option is a tag on save, and a filter on find, delete and wait.
 */
export abstract class OriginalApi {
  abstract readonly datasets: Datasets
  abstract readonly models: Models
  abstract readonly logs: Logs
  abstract readonly tasks: Tasks

  /** `saveDataset(value, 'mnist', { version: '1.0' })` or `saveDataset(value, { datasetName: 'mnist' })`. @returns the record. */
  async saveDataset(
    dataset: unknown,
    ...args: [name: string, tags?: SaveKeywords] | [tags: SaveKeywords & { readonly datasetName: string }]
  ): Promise<DatasetRecord> {
    const { name, tags, options } = readArguments(
      { op: 'saveDataset', name: 'datasetName', options: ['signal', 'onProgress'] },
      args,
    )
    if (name === undefined || name === null)
      throw new HubError(
        'INVALID',
        "saveDataset needs the dataset's name: saveDataset(value, 'mnist', { … }) or saveDataset(value, { datasetName: 'mnist', … }).",
        { at: { scheme: 'hub', op: 'saveDataset' }, path: 'datasetName' },
      )
    return this.datasets.save(name, dataset, tags, transferOf(options))
  }

  /** The value of the newest (or first by `sort`) dataset that matches, or false. */
  async findTopDataset<T = unknown>(...args: NamedArguments<FindKeywords, 'datasetName'>): Promise<Found<T>> {
    const { name, tags, options } = readArguments({ op: 'findTopDataset', name: 'datasetName', options: FIND }, args)
    const filter = filterOf('dataset_name', name, tags)
    const found = await unlessDeleted(async () =>
      loaded(await this.datasets.open<T>(filter, sortOf(options)), transferOf(options)),
    )
    return (found === undefined ? false : found.value) as Found<T>
  }

  /** Every matching dataset's value, oldest first unless sorted, or false. Memory: all of them; `datasets.find` and `handle` take one at a time. */
  async findDatasets<T = unknown>(...args: NamedArguments<FindKeywords, 'datasetName'>): Promise<T[] | false> {
    const { name, tags, options } = readArguments({ op: 'findDatasets', name: 'datasetName', options: FIND }, args)
    const records = await this.datasets.find(filterOf('dataset_name', name, tags), sortOf(options)).toArray()
    const transfer = transferOf(options)
    const rising = risingProgress(transfer.onProgress, records)
    const values: T[] = []
    for (const record of records) {
      try {
        values.push(await this.datasets.handle<T>(record).load({ ...transfer, ...rising.next() }))
      } catch (error) {
        // Deleted since the list was read: as if it had been deleted before.
        if (!isDeleted(error)) throw error
      }
    }
    return values.length === 0 ? false : values
  }

  /** Deletes the matching datasets; without arguments all of the project. */
  async deleteDatasets(...args: NamedArguments<FilterKeywords, 'datasetName'>): Promise<DeleteReceipt> {
    const { name, tags, options } = readArguments(
      { op: 'deleteDatasets', name: 'datasetName', options: ['signal'], deletes: true },
      args,
    )
    return this.datasets.delete(deletionOf('dataset_name', name, tags), transferOf(options))
  }

  /** `saveModel(model, { modelName: 'mlp', accuracy: 0.8 })` or `saveModel(model, 'mlp', { … })`; without a name: `'model'`. @returns the record. */
  async saveModel(model: unknown, ...args: NamedArguments<SaveKeywords, 'modelName'>): Promise<ModelRecord> {
    const { name, tags, options } = readArguments(
      { op: 'saveModel', name: 'modelName', options: ['signal', 'onProgress'] },
      args,
    )
    return this.models.save(name ?? 'model', model, tags, transferOf(options))
  }

  /**
   * The newest (or first by `sort`) model that matches, live, or false. `model._accuracy` and `model.info.accuracy` carry its tags. `sess` of the
   * original's TensorFlow 1 days is accepted and has no meaning.
   */
  async findTopModel<T = unknown>(
    ...args: NamedArguments<FindKeywords & { readonly sess?: unknown }, 'modelName'>
  ): Promise<FoundModel<T>> {
    const { name, tags, options } = readArguments(
      { op: 'findTopModel', name: 'modelName', options: [...FIND, 'sess'] },
      args,
    )
    const filter = filterOf('model_name', name, tags)
    const found = await unlessDeleted(async () =>
      loaded(await this.models.open<T>(filter, sortOf(options)), transferOf(options)),
    )
    return (found === undefined ? false : found.value) as FoundModel<T>
  }

  /** Deletes the matching models; without arguments all of the project. */
  async deleteModel(...args: NamedArguments<FilterKeywords, 'modelName'>): Promise<DeleteReceipt> {
    const { name, tags, options } = readArguments(
      { op: 'deleteModel', name: 'modelName', options: ['signal'], deletes: true },
      args,
    )
    return this.models.delete(deletionOf('model_name', name, tags), transferOf(options))
  }

  /** Saves a training event with any fields: `saveTrainingLog({ accuracy: 0.33, step: 7 })`. @returns the record. */
  saveTrainingLog(tags?: FilterKeywords): Promise<LogRecord> {
    return this.#saveLog('training', 'saveTrainingLog', tags)
  }
  /** The matching training logs, oldest first unless sorted; an empty array when none matches. */
  findTrainingLogs(filter?: LogQuery): Promise<LogRecord[]> {
    return this.#findLogs('training', 'findTrainingLogs', filter)
  }
  /** Deletes the matching training logs; without arguments all of the project. */
  deleteTrainingLog(...filter: [filter?: FilterKeywords]): Promise<{ documents: number }> {
    return this.#deleteLogs('training', 'deleteTrainingLog', filter)
  }

  /** Saves a validation event with any fields: `saveValidationLog({ accuracy: 0.33, step: 7 })`. @returns the record. */
  saveValidationLog(tags?: FilterKeywords): Promise<LogRecord> {
    return this.#saveLog('validation', 'saveValidationLog', tags)
  }
  /** The matching validation logs, oldest first unless sorted; an empty array when none matches. */
  findValidationLogs(filter?: LogQuery): Promise<LogRecord[]> {
    return this.#findLogs('validation', 'findValidationLogs', filter)
  }
  /** Deletes the matching validation logs; without arguments all of the project. */
  deleteValidationLog(...filter: [filter?: FilterKeywords]): Promise<{ documents: number }> {
    return this.#deleteLogs('validation', 'deleteValidationLog', filter)
  }

  /** Saves a testing event with any fields: `saveTestingLog({ accuracy: 0.33, step: 7 })`. @returns the record. */
  saveTestingLog(tags?: FilterKeywords): Promise<LogRecord> {
    return this.#saveLog('testing', 'saveTestingLog', tags)
  }
  /** The matching testing logs, oldest first unless sorted; an empty array when none matches. */
  findTestingLogs(filter?: LogQuery): Promise<LogRecord[]> {
    return this.#findLogs('testing', 'findTestingLogs', filter)
  }
  /** Deletes the matching testing logs; without arguments all of the project. */
  deleteTestingLog(...filter: [filter?: FilterKeywords]): Promise<{ documents: number }> {
    return this.#deleteLogs('testing', 'deleteTestingLog', filter)
  }

  async #saveLog(kind: string, op: string, tags: Keywords | undefined): Promise<LogRecord> {
    // The tags as they are where no option stands among them: logs come by the thousand.
    if (typeof tags === 'object' && tags !== null && !('signal' in tags)) return this.logs.save(kind, tags)
    const read = readArguments({ op, name: undefined, options: ['signal'] }, [tags])
    return this.logs.save(kind, read.tags, transferOf(read.options))
  }

  async #findLogs(kind: string, op: string, filter: LogQuery | undefined): Promise<LogRecord[]> {
    const read = readArguments({ op, name: undefined, options: ['signal', 'sort'] }, [filter])
    return this.logs.find(filterOf('kind', kind, read.tags), sortOf(read.options)).toArray()
  }

  async #deleteLogs(kind: string, op: string, filter: readonly unknown[]): Promise<{ documents: number }> {
    const read = readArguments({ op, name: undefined, options: ['signal'], deletes: true }, filter)
    return this.logs.delete(filterOf('kind', kind, read.tags), transferOf(read.options))
  }

  /**
   * `createTask('mnist', 'task_script.ts', { hyperParameters, savedResultKeys, description: '800-800' })`, or all in one object with `taskName` and
   * `script`. Everything that is no option is a tag. @returns the record.
   */
  async createTask(
    ...args:
      | [name: string, script: string, keywords?: Keywords & TaskSpec & Call]
      | [keywords: Keywords & TaskSpec & Call & { readonly taskName: string; readonly script: string }]
  ): Promise<TaskRecord> {
    const positional = typeof args[0] === 'string' || args[0] === undefined || args[0] === null
    const [name, path, ...more] = positional ? args : [undefined, undefined, ...args]
    if (more.length > 1)
      throw new HubError(
        'INVALID',
        `createTask takes a name, a script and an object of keyword arguments; ${args.length} arguments are too many.`,
        { at: { scheme: 'hub', op: 'createTask' } },
      )
    const { tags, options } = readArguments(
      { op: 'createTask', name: undefined, options: ['taskName', 'script', 'signal', ...SPEC_KEYS, ...REFUSED] },
      [undefined, more[0]],
    )
    const { taskName = name, script = path, signal, ...spec } = options
    for (const [key, twice] of [
      ['taskName', name !== undefined && Object.hasOwn(options, 'taskName')],
      ['script', path !== undefined && Object.hasOwn(options, 'script')],
    ] as const)
      if (twice)
        throw new HubError('INVALID', `createTask: '${key}' is given twice.`, {
          at: { scheme: 'hub', op: 'createTask' },
          path: key,
        })
    return this.tasks.create(
      taskName as string,
      script as string,
      spec,
      tags,
      signal === undefined ? {} : { signal: signal as AbortSignal },
    )
  }

  /** Runs the first due task: `runTopTask('mnist', { sort: [['time', -1]] })`. False when none is due; else its outcome, also of a failed attempt. */
  async runTopTask(...args: NamedArguments<Keywords & RunTopOptions, 'taskName'>): Promise<TaskOutcome | false> {
    const { name, tags, options } = readArguments(
      { op: 'runTopTask', name: 'taskName', options: ['sort', 'signal', 'scripts', 'onOutput'] },
      args,
    )
    return this.tasks.runTop(filterOf('task_name', name, tags), options)
  }
  /** The tutorial's name of {@link runTopTask}. */
  runTask(...args: NamedArguments<Keywords & RunTopOptions, 'taskName'>): Promise<TaskOutcome | false> {
    return this.runTopTask(...args)
  }

  /** True while any matching task is blocked, pending or running. (The original's docstring said the opposite; its tutorial used it so.) */
  async checkUnfinishedTask(...args: NamedArguments<FilterKeywords, 'taskName'>): Promise<boolean> {
    const { name, tags, options } = readArguments(
      { op: 'checkUnfinishedTask', name: 'taskName', options: ['signal'] },
      args,
    )
    return (await this.tasks.unfinished(filterOf('task_name', name, tags), transferOf(options))) > 0
  }

  /** Deletes matching tasks, also running ones, whose runners end them; without arguments all of the project. */
  async deleteTasks(...args: NamedArguments<FilterKeywords, 'taskName'>): Promise<{ documents: number }> {
    const { name, tags, options } = readArguments(
      { op: 'deleteTasks', name: 'taskName', options: ['signal'], deletes: true },
      args,
    )
    return this.tasks.delete(deletionOf('task_name', name, tags), transferOf(options))
  }

  /** The tutorial's name of {@link findTopDataset}. */
  findDataset<T = unknown>(...args: NamedArguments<FindKeywords, 'datasetName'>): Promise<Found<T>> {
    return this.findTopDataset<T>(...args)
  }
  /** The tutorial's name of {@link findDatasets}. */
  findAllDatasets<T = unknown>(...args: NamedArguments<FindKeywords, 'datasetName'>): Promise<T[] | false> {
    return this.findDatasets<T>(...args)
  }
  /** The tutorial's name of {@link findTopModel}. */
  findModel<T = unknown>(
    ...args: NamedArguments<FindKeywords & { readonly sess?: unknown }, 'modelName'>
  ): Promise<FoundModel<T>> {
    return this.findTopModel<T>(...args)
  }
}

/** How often a search starts anew because the record it found was deleted, and its content freed, before it could be read. */
const SEARCHES = 10

/** What `search` loads; again when the record was deleted in between, since then another one is the first. */
async function unlessDeleted<T>(search: () => Promise<T | undefined>): Promise<T | undefined> {
  for (let tries = 1; ; tries++) {
    try {
      return await search()
    } catch (error) {
      if (!isDeleted(error) || tries >= SEARCHES) throw error
    }
  }
}

function isDeleted(error: unknown): boolean {
  return isHubError(error, 'NOT_FOUND') && error.reason === 'RECORD_DELETED'
}

async function loaded<T>(
  handle: { load(options: TransferOptions): Promise<T> } | undefined,
  options: TransferOptions,
): Promise<{ value: T } | undefined> {
  return handle && { value: await handle.load(options) }
}
