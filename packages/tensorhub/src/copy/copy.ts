import type { ContentStore } from '@tensorhub/content'
import {
  type Call,
  type Doc,
  encodeDoc,
  HubError,
  isHubError,
  type Predicate,
  type StoreClock,
  throwIfAborted,
} from '@tensorhub/core'
import { CONTENT_COLLECTIONS, type Collection } from '../documents/collections.ts'
import { TaskProtocol } from '../tasks/protocol.ts'
import { type CopyMark, type Decision, decide, revOf } from './decide.ts'
import { hubId, type Layers, refuseSameStore } from './destination.ts'
import { difference } from './difference.ts'
import { Failures } from './failures.ts'
import type { CopyOptions, CopyReceipt } from './options.ts'
import { Pool } from './pool.ts'

/** One end of a copy. */
export interface CopyEnd extends Layers {
  readonly content: ContentStore
  readonly clock: StoreClock
}

const COLLECTIONS: readonly Collection[] = ['datasets', 'models', 'logs', 'tasks']
/** Documents whose revisions are compared in one question. */
const PAGE = 500
/** Documents with content that are read whole at once: each has up to 256 KiB of manifest. */
const READ = 50
/** Documents on their way at once; how many bytes of content they have in memory is bounded by the content store. */
const AT_ONCE = 8
/** Documents without chunks go together, up to so many and so many bytes of their JSON. */
const TOGETHER = 200
const TOGETHER_BYTES = 4 * 1024 * 1024

/**
 * One run of a copy: every document of the projects, in order of `_id`, page by page (no cursor is held open for long). A document comes after all it
 * stands on, in one write with its mark, so a run that dies leaves whole documents, and the next one goes on behind them.
 */
export async function copyHub(
  source: CopyEnd,
  destination: CopyEnd,
  project: string,
  o: CopyOptions,
): Promise<CopyReceipt> {
  const call: Call = o.signal ? { signal: o.signal } : {}
  await refuseSameStore(source, destination, call)
  const ids = { source: await hubId(source.index, call), destination: await hubId(destination.index, call) }
  const run = new Copy(source, destination, ids, scopeOf(project, o), o)
  return run.all()
}

function scopeOf(project: string, { projects = [project] }: CopyOptions): Predicate {
  return projects === 'all' ? { op: 'everything' } : { op: 'in', path: ['project_name'], values: [...projects] }
}

interface HubIds {
  readonly source: string | undefined
  readonly destination: string | undefined
}

class Copy {
  readonly #source: CopyEnd
  readonly #destination: CopyEnd
  readonly #ids: HubIds
  readonly #scope: Predicate
  readonly #o: CopyOptions
  readonly #failures: Failures
  readonly #receipt = { documents: 0, updated: 0, skipped: 0, running: 0, conflicts: 0, chunks: 0, bytes: 0 }
  #total = 0
  #seen = 0

  constructor(source: CopyEnd, destination: CopyEnd, ids: HubIds, scope: Predicate, o: CopyOptions) {
    this.#source = source
    this.#destination = destination
    this.#ids = ids
    this.#scope = scope
    this.#o = o
    this.#failures = new Failures()
  }

  async all(): Promise<CopyReceipt> {
    const call: Call = this.#o.signal ? { signal: this.#o.signal } : {}
    await this.#reap(call)
    for (const coll of COLLECTIONS) this.#total += await this.#source.index.count(coll, this.#scope, call)
    for (const coll of COLLECTIONS) await this.#collection(coll)
    this.#failures.throwIfAny()
    return this.#o.verify === true ? { ...this.#receipt, verified: await this.#verify(call) } : this.#receipt
  }

  /** Tasks whose runners died are taken back first, as every runner and waiter does: they would otherwise stay behind as running. */
  async #reap(call: Call): Promise<void> {
    const running: Predicate = { op: 'and', of: [this.#scope, { op: 'eq', path: ['status'], value: 'running' }] }
    const projects = new Set<string>()
    for await (const doc of this.#source.index.find('tasks', running, { ...call, fields: [['project_name']] }))
      projects.add(doc['project_name'] as string)
    const protocol = new TaskProtocol(this.#source.index, this.#source.clock)
    for (const project of projects) {
      await protocol.reap(project, call).catch((error: unknown) => {
        // Who may only read leaves them as they are: they count as running.
        if (!isHubError(error, 'DENIED')) throw error
      })
    }
  }

  async #collection(coll: Collection): Promise<void> {
    const pool = new Pool(AT_ONCE, this.#o.signal)
    const call: Call = { signal: pool.signal }
    await pool.use(async () => {
      for (let after = ''; ; ) {
        throwIfAborted(pool.signal, { scheme: 'hub', op: 'copyTo', target: coll })
        const page = await this.#page(coll, after, call)
        if (page.length === 0) break
        after = (page.at(-1) as Doc)._id
        const wanted = await this.#decided(coll, page, call)
        await this.#transfer(coll, wanted, pool, call)
      }
    })
    this.#tell(coll)
  }

  async #page(coll: Collection, after: string, call: Call): Promise<Doc[]> {
    const where: Predicate = { op: 'and', of: [this.#scope, { op: 'gt', path: ['_id'], value: after }] }
    const fields = [['_rev'], ['_copy'], ...(coll === 'tasks' ? [['status']] : [])]
    const order = [{ path: ['_id'], dir: 1 as const }]
    const page: Doc[] = []
    for await (const doc of this.#source.index.find(coll, where, { ...call, order, limit: PAGE, fields }))
      page.push(doc)
    return page
  }

  /** What is to be done with each document of a page, of those with which something is. */
  async #decided(coll: Collection, page: readonly Doc[], call: Call): Promise<Map<string, Decision>> {
    const there = new Map<string, Doc>()
    const same: Predicate = { op: 'in', path: ['_id'], values: page.map((doc) => doc._id) }
    for await (const doc of this.#destination.index.find(coll, same, { ...call, fields: [['_rev'], ['_copy']] }))
      there.set(doc._id, doc)
    const wanted = new Map<string, Decision>()
    for (const doc of page) {
      // A task that is being run belongs to its runner. Copied as it is, nobody could end it there; as pending, it would run twice.
      if (coll === 'tasks' && doc['status'] === 'running') {
        this.#receipt.running++
        this.#seen++
        continue
      }
      const decision = decide(doc, there.get(doc._id), this.#ids)
      if (decision === 'skip') {
        this.#receipt.skipped++
        this.#seen++
      } else wanted.set(doc._id, decision)
    }
    this.#tell(coll)
    return wanted
  }

  async #transfer(coll: Collection, wanted: ReadonlyMap<string, Decision>, pool: Pool, call: Call): Promise<void> {
    let together: Doc[] = []
    let size = 0
    const flush = async () => {
      const docs = together
      together = []
      size = 0
      if (docs.length > 0) await pool.run(() => this.#insertAll(coll, docs, call))
    }
    let left = 0
    for await (const doc of this.#whole(coll, [...wanted.keys()], call)) {
      left++
      // It was claimed since it was listed.
      if (coll === 'tasks' && doc['status'] === 'running') {
        this.#receipt.running++
        this.#done(coll)
      } else if (wanted.get(doc._id) !== 'insert') {
        await pool.run(() => this.#failures.of(`${coll}/${doc._id}`, () => this.#existing(coll, doc, call)))
      } else if (await this.#failures.of(`${coll}/${doc._id}`, async () => this.#standsAlone(coll, doc))) {
        together.push(this.#marked(doc, doc['content']))
        size += encodeDoc(doc).length
        if (together.length >= TOGETHER || size >= TOGETHER_BYTES) await flush()
      } else if (!this.#failures.has(`${coll}/${doc._id}`)) {
        await pool.run(() => this.#failures.of(`${coll}/${doc._id}`, () => this.#adopt(coll, doc, call)))
      }
    }
    await flush()
    // Those that were deleted since they were listed count as looked at, so that the progress reaches its end.
    this.#seen += wanted.size - left
  }

  /**
   * Whole documents. Of those with content a few are read at a time: their chunks may take hours, and a cursor must not stay open for so long (MongoDB ends
   * it after ten minutes: https://www.mongodb.com/docs/manual/reference/method/cursor.noCursorTimeout/).
   */
  async *#whole(coll: Collection, ids: readonly string[], call: Call): AsyncGenerator<Doc, void, undefined> {
    const some = CONTENT_COLLECTIONS.includes(coll) ? READ : PAGE
    for (let i = 0; i < ids.length; i += some) {
      const docs: Doc[] = []
      const these: Predicate = { op: 'in', path: ['_id'], values: ids.slice(i, i + some) }
      for await (const doc of this.#source.index.find(coll, these, call)) {
        if (some === PAGE) yield doc
        else docs.push(doc)
      }
      yield* docs
    }
  }

  #standsAlone(coll: Collection, doc: Doc): boolean {
    return doc['content'] === undefined || this.#source.content.isInline(doc['content'], `${coll}/${doc._id}`)
  }

  async #insertAll(coll: Collection, docs: readonly Doc[], call: Call): Promise<void> {
    try {
      await this.#destination.index.insert(coll, docs, call)
      for (const _ of docs) this.#copied(coll)
    } catch (error) {
      // Another copy was faster with some of them, or one of them does not fit.
      if (!isHubError(error, 'EXISTS') && !isHubError(error, 'INVALID')) throw error
      for (const doc of docs) await this.#failures.of(`${coll}/${doc._id}`, () => this.#insertOne(coll, doc, call))
    }
  }

  async #insertOne(coll: Collection, doc: Doc, call: Call): Promise<void> {
    try {
      await this.#destination.index.insert(coll, [doc], call)
      this.#copied(coll)
    } catch (error) {
      if (!isHubError(error, 'EXISTS')) throw error
      await this.#existing(coll, doc, call)
    }
  }

  /** A document with chunks. */
  async #adopt(coll: Collection, doc: Doc, call: Call): Promise<void> {
    const name = `${coll}/${doc._id}`
    try {
      await this.#destination.content.adopt(this.#source.content, doc['content'] as never, {
        ...call,
        coll,
        name,
        document: (content) => this.#marked(doc, content),
        onUpload: (stored) => {
          this.#receipt.chunks++
          this.#receipt.bytes += stored
          this.#tell(coll)
        },
      })
      this.#copied(coll)
    } catch (error) {
      if (isHubError(error, 'EXISTS')) return this.#existing(coll, doc, call)
      if (!isHubError(error, 'INTEGRITY')) throw error
      // A chunk that is missing because its record was deleted meanwhile is no damage.
      const still = await this.#source.index.top(coll, idIs(doc._id), { ...call, fields: [['_id']] })
      if (still !== undefined) throw error
      this.#done(coll)
    }
  }

  /** A document that is at the destination, and may differ. */
  async #existing(coll: Collection, doc: Doc, call: Call): Promise<void> {
    const there = await this.#destination.index.top(coll, idIs(doc._id), call)
    const decision = decide(doc, there, this.#ids)
    // Deleted there since it was listed: the next run brings it.
    if (there === undefined) return this.#done(coll)
    const change = difference(doc, there)
    const same = await this.#sameContent(coll, doc, there, call)
    if (same && (change === undefined || decision === 'skip')) {
      this.#receipt.skipped++
      return this.#done(coll)
    }
    if (same && decision === 'update') {
      const rev = revOf(there)
      const set = { ...change?.set, ...this.#mark(doc, rev + 1) }
      // Only as it was read: who changed it meanwhile has changed it.
      const asRead: Predicate = { op: 'and', of: [idIs(doc._id), { op: 'eq', path: ['_rev'], value: rev }] }
      if ((await this.#destination.index.takeOne(coll, asRead, { ...change, set }, call)) !== null) {
        this.#receipt.updated++
        return this.#done(coll)
      }
    }
    if (this.#o.onConflict === 'keep') {
      this.#receipt.conflicts++
      return this.#done(coll)
    }
    throw new HubError(
      'CONFLICT',
      `${coll}/${doc._id} is at the destination with another ${same ? 'content of its fields' : 'value'}, changed there or never copied from here; delete one of the two, or copy with onConflict: 'keep'.`,
      { at: { scheme: 'hub', op: 'copyTo', target: `${coll}/${doc._id}` } },
    )
  }

  async #sameContent(coll: Collection, doc: Doc, there: Doc, call: Call): Promise<boolean> {
    const [one, other] = [doc['content'], there['content']]
    if (one === undefined || other === undefined) return one === other
    const name = `${coll}/${doc._id}`
    return (
      (await this.#source.content.identity(one, name, call)) ===
      (await this.#destination.content.identity(other, name, call))
    )
  }

  #marked(doc: Doc, content: unknown): Doc {
    const { _copy, ...fields } = doc
    return {
      ...fields,
      ...(content === undefined ? {} : { content: content as Doc['content'] }),
      ...this.#mark(doc, 0),
    } as Doc
  }

  #mark(doc: Doc, own: number): { _copy?: CopyMark & Doc['_copy'] } {
    const from = this.#ids.source
    return from === undefined ? {} : { _copy: { from, rev: revOf(doc), own } }
  }

  #copied(coll: Collection): void {
    this.#receipt.documents++
    this.#done(coll)
  }

  #done(coll: Collection): void {
    this.#seen++
    this.#tell(coll)
  }

  #tell(collection: Collection): void {
    const { bytes } = this.#receipt
    this.#o.onProgress?.({ phase: 'copy', collection, documents: this.#seen, total: this.#total, bytes })
  }

  /** Reads back and hashes all content of the projects at the destination. @throws INTEGRITY */
  async #verify(call: Call): Promise<{ documents: number; bytes: number }> {
    const { documents, bytes, problems } = await this.#destination.content.check({
      ...call,
      collections: CONTENT_COLLECTIONS,
      where: this.#scope,
      readData: true,
      onProgress: ({ bytes: read }) =>
        this.#o.onProgress?.({ phase: 'verify', documents: this.#seen, total: this.#total, bytes: read }),
    })
    const [first] = problems
    if (first === undefined) return { documents, bytes }
    throw new HubError(
      'INTEGRITY',
      `At the destination ${problems.length} problem(s) were found; the first is in ${first.collection}/${first._id}: ${first.message} Run check({ readData: true }) there, delete these records, and copy again.`,
      { at: { scheme: 'hub', op: 'copyTo', target: first.key ?? `${first.collection}/${first._id}` } },
    )
  }
}

function idIs(id: string): Predicate {
  return { op: 'eq', path: ['_id'], value: id }
}
