import { type Call, type Doc, isHubError, type Value } from '@tensorhub/core'
import { checkTags } from '../documents/collections.ts'
import type { LogRecord } from '../documents/record.ts'
import { callOf, checkOptions, type FilterInput } from './arguments.ts'
import { Namespace } from './namespace.ts'

/** `hub.logs`: events of a kind (`training`, `validation`, `testing`, or your own) with any fields. */
export class Logs extends Namespace<LogRecord> {
  /** Saves one event; durable when the promise resolves. Concurrent saves share a commit. */
  async save(kind: string, tags: Readonly<Record<string, unknown>> = {}, options?: Call): Promise<LogRecord> {
    const op = this.op('save')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const name = this.checkName(kind, 'a kind', op)
    const checked: Record<string, Value> = checkTags('logs', tags, op)
    const opening = this.context.ready(callOf(options))
    if (opening !== undefined) await opening
    const document = { ...this.base(), kind: name, ...checked, _rev: 0 }
    const call = callOf(options)
    try {
      await this.context.index.insert('logs', [document], call)
    } catch (error) {
      await this.#settle(error, document, call)
    }
    return document
  }

  /** An answer that got lost is settled by looking, so that no event is reported lost that is there, and repeated. */
  async #settle(error: unknown, document: Doc, call: Call): Promise<void> {
    if (!isHubError(error, 'UNAVAILABLE') && !isHubError(error, 'UNKNOWN')) throw error
    const where = { op: 'eq', path: ['_id'], value: document._id } as const
    if ((await this.context.index.top('logs', where, { ...call, fields: [['_id']] })) === undefined) throw error
  }

  /** Deletes the matching events. @throws INVALID for an empty filter: `{ _id: { $exists: true } }` says "all of the project". */
  async delete(filter: FilterInput<LogRecord>, options?: Call): Promise<{ documents: number }> {
    const op = this.op('delete')
    this.context.assertOpen(op)
    checkOptions(options, ['signal'], op)
    const where = this.confine(this.parseMutation(filter, op))
    return { documents: await this.context.index.delete('logs', where, callOf(options)) }
  }
}
