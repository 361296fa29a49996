import { setTimeout as delay } from 'node:timers/promises'
import { type BlobInfo, HubError, type PartUpload, type PartUploadOptions, type Precondition } from '../../src/index.ts'

type Step = 'once' | 'begin' | 'part' | 'finish' | 'abort'
type Options = { readonly signal?: AbortSignal; readonly when?: Precondition }

export interface Session {
  readonly id: number
}

/** A store of one blob with multi-part uploads, strict as S3 is; it counts what core does with it, and fails where a test says. */
export class PartStore implements PartUpload<Session> {
  readonly limits: Pick<PartUploadOptions, 'partMin' | 'partMax' | 'partsMax' | 'sizeMax'>
  /** The blob, once written. */
  content: Uint8Array | undefined
  /** Unfinished uploads: what an orphan would be. */
  readonly open = new Map<number, Map<number, Uint8Array>>()
  readonly calls: string[] = []
  readonly conditions: (readonly [Step, Precondition | undefined])[] = []
  inFlight = 0
  mostInFlight = 0
  heldBytes = 0
  mostHeldBytes = 0
  largestPart = 0
  /** Runs in each step before it takes effect. */
  before: (step: Step, n: number, o: Options) => unknown = () => undefined
  /** Runs in each step after it took effect: a reply that is lost. */
  after: (step: Step) => unknown = () => undefined
  #sessions = 0

  constructor(limits: Partial<PartStore['limits']> = {}) {
    this.limits = { partMin: 10, partMax: 1000, partsMax: 10_000, sizeMax: 1_000_000, ...limits }
  }

  async once(bytes: Uint8Array, o: Options): Promise<BlobInfo> {
    await this.#enter('once', 0, o)
    this.#commit(bytes.slice(), o.when)
    await this.after('once')
    return this.#info()
  }

  async begin(o: Options): Promise<Session> {
    await this.#enter('begin', 0, o)
    const session = { id: ++this.#sessions }
    this.open.set(session.id, new Map())
    await this.after('begin')
    return session
  }

  async part(session: Session, n: number, bytes: Uint8Array, o: Options): Promise<string> {
    this.inFlight++
    this.heldBytes += bytes.byteLength
    this.mostInFlight = Math.max(this.mostInFlight, this.inFlight)
    this.mostHeldBytes = Math.max(this.mostHeldBytes, this.heldBytes)
    this.largestPart = Math.max(this.largestPart, bytes.byteLength)
    try {
      await this.#enter('part', n, o)
      // Late parts come first, so that order is core's doing.
      await delay(n % 3 === 0 ? 0 : 1, undefined, o.signal ? { signal: o.signal } : {})
      const parts = this.open.get(session.id)
      if (parts === undefined) throw new Error(`part ${n} of an upload that is not open`)
      if (n < 1 || n > this.limits.partsMax) throw new Error(`part number ${n}`)
      if (bytes.byteLength > this.limits.partMax) throw new Error(`a part of ${bytes.byteLength}`)
      parts.set(n, bytes.slice())
      return `tag${n}`
    } finally {
      this.inFlight--
      this.heldBytes -= bytes.byteLength
    }
  }

  async finish(session: Session, tags: readonly string[], o: Options): Promise<BlobInfo> {
    await this.#enter('finish', tags.length, o)
    const parts = this.open.get(session.id) as Map<number, Uint8Array>
    if (this.inFlight > 0) throw new Error('finished with parts in flight')
    const ordered = tags.map((tag, i) => {
      if (tag !== `tag${i + 1}`) throw new Error(`tag ${i + 1} is ${tag}`)
      const bytes = parts.get(i + 1) as Uint8Array
      if (i < tags.length - 1 && bytes.byteLength < this.limits.partMin) throw new Error(`part ${i + 1} is too small`)
      return bytes
    })
    if (ordered.length !== parts.size) throw new Error('a part was left out')
    this.#commit(new Uint8Array(Buffer.concat(ordered)), o.when)
    this.open.delete(session.id)
    await this.after('finish')
    return this.#info()
  }

  async abort(session: Session, { finishing }: { readonly finishing: boolean }): Promise<void> {
    this.calls.push(finishing ? 'abort finishing' : 'abort')
    if (this.inFlight > 0) throw new Error('aborted with parts in flight')
    await this.before('abort', 0, {})
    this.open.delete(session.id)
  }

  async #enter(step: Step, n: number, o: Options): Promise<void> {
    this.calls.push(step === 'part' ? `part ${n}` : step)
    if (step !== 'part') this.conditions.push([step, o.when])
    await this.before(step, n, o)
    o.signal?.throwIfAborted()
  }

  #commit(bytes: Uint8Array, when: Precondition | undefined): void {
    if (when && 'ifAbsent' in when && this.content !== undefined)
      throw new HubError('EXISTS', 'There is one already.', { at: { scheme: 'test', op: 'write' } })
    this.content = bytes
  }

  #info(): BlobInfo {
    return { key: 'k', size: this.content?.byteLength ?? 0, modified: new Date(0), version: String(this.calls.length) }
  }
}

/** A body in pieces of an odd size. Its pieces are overwritten once the next is asked for: nobody may keep them. */
export function bodyOf(bytes: Uint8Array, piece = 7): ReadableStream<Uint8Array> {
  let at = 0
  const buffer = new Uint8Array(piece)
  return new ReadableStream(
    {
      pull(controller) {
        if (at >= bytes.byteLength) return controller.close()
        const part = bytes.subarray(at, at + piece)
        buffer.set(part)
        at += part.byteLength
        controller.enqueue(buffer.subarray(0, part.byteLength))
      },
    },
    { highWaterMark: 0 },
  )
}

export function numbered(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff)
}
