import type { BlobDriver, BlobInfo, WriteOptions } from '@tensorhub/core'
import { memoryBlobs } from '@tensorhub/memory'

/** One planted fault, and the test (or tests) that must catch it. */
export interface BlobFault {
  readonly fault: string
  readonly caughtBy: RegExp
  readonly breakIt: (sound: BlobDriver) => Partial<BlobDriver>
  /** False where the fault is that the driver holds what it should pass on. */
  readonly inProcess?: boolean
}

type Body = ReadableStream<Uint8Array>

async function gather(body: Body): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await new Response(body as ReadableStream<Uint8Array<ArrayBuffer>>).arrayBuffer())
}

function streamOf(bytes: Uint8Array): Body {
  return new Blob([new Uint8Array(bytes)]).stream()
}

/** The same fault on both ways to write. */
function writing(sound: BlobDriver, change: (o: WriteOptions, streamed: boolean) => WriteOptions): Partial<BlobDriver> {
  return {
    write: (key, body, o) => sound.write(key, body, change(o, true)),
    writeBytes: (key, bytes, o) => sound.write(key, streamOf(bytes), change(o, false)),
  }
}

function without<K extends keyof WriteOptions>(o: WriteOptions, ...names: K[]): WriteOptions {
  return Object.fromEntries(Object.entries(o).filter(([name]) => !names.includes(name as K)))
}

async function infos(items: AsyncIterable<BlobInfo>): Promise<BlobInfo[]> {
  const all: BlobInfo[] = []
  for await (const info of items) all.push(info)
  return all
}

function listing(
  sound: BlobDriver,
  change: (all: BlobInfo[], prefix: string) => readonly BlobInfo[],
): Partial<BlobDriver> {
  return {
    async *list(prefix, o) {
      yield* change(await infos(sound.list(prefix, o)), prefix)
    },
  }
}

export const blobFaults: readonly BlobFault[] = [
  {
    fault: 'ifAbsent dropped on streams',
    caughtBy: /^ifAbsent: holds/,
    breakIt: (sound) => writing(sound, (o, streamed) => (streamed ? without(o, 'when') : o)),
  },
  {
    fault: 'ifAbsent dropped on large bodies of known size',
    caughtBy: /^ifAbsent: holds/,
    breakIt: (sound) => writing(sound, (o) => ((o.size ?? 0) > 1_200_000 ? without(o, 'when') : o)),
  },
  {
    fault: 'ifVersion dropped',
    caughtBy: /^ifVersion: holds/,
    breakIt: (sound) => writing(sound, (o) => (o.when && 'ifVersion' in o.when ? without(o, 'when') : o)),
  },
  {
    fault: 'ifVersion taken as ifAbsent where the blob is gone',
    caughtBy: /^ifVersion: holds/,
    breakIt: (sound) => ({
      async writeBytes(key, bytes, o) {
        const there = await sound.stat(key, {}).then(
          () => true,
          () => false,
        )
        return sound.write(key, streamOf(bytes), there ? o : without(o, 'when'))
      },
    }),
  },
  {
    fault: 'ifAbsent is tested before the write, not with it',
    caughtBy: /^ifAbsent: of racers/,
    breakIt: (sound) => ({
      async write(key, body, o) {
        const bytes = await gather(body)
        if (o.when) {
          const there = await sound.stat(key, {}).then(
            () => true,
            () => false,
          )
          if (there) return sound.write(key, streamOf(bytes), o)
        }
        await new Promise((resolve) => setTimeout(resolve, 1))
        return sound.write(key, streamOf(bytes), without(o, 'when'))
      },
    }),
  },
  {
    fault: 'a failed source leaves what came so far',
    caughtBy: /^write: a source that fails/,
    breakIt: (sound) => ({
      async write(key, body, o) {
        const pieces: Uint8Array<ArrayBuffer>[] = []
        try {
          for await (const piece of body) pieces.push(new Uint8Array(piece))
        } catch (error) {
          await sound.write(key, new Blob(pieces).stream(), {})
          throw error
        }
        return sound.write(key, new Blob(pieces).stream(), o)
      },
    }),
  },
  {
    fault: 'a failed source is taken as the end',
    caughtBy: /^write: a source that fails/,
    breakIt: (sound) => ({
      async write(key, body, o) {
        const pieces: Uint8Array<ArrayBuffer>[] = []
        const reader = body.getReader()
        for (;;) {
          const next = await reader.read().catch(() => ({ done: true, value: undefined }))
          if (next.done || next.value === undefined) break
          pieces.push(new Uint8Array(next.value))
        }
        return sound.write(key, new Blob(pieces).stream(), o)
      },
    }),
  },
  {
    fault: 'a write deletes the old content first',
    caughtBy: /^write: (a source that fails|an abort)/,
    breakIt: (sound) => ({
      async write(key, body, o) {
        if (o.when === undefined) await sound.delete([key], {})
        return sound.write(key, body, o)
      },
    }),
  },
  {
    fault: 'a blob is visible while it is written',
    caughtBy: /^write: nothing is visible/,
    breakIt: (sound) => ({
      async write(key, body, o) {
        if (o.when === undefined) await sound.write(key, streamOf(new Uint8Array()), {})
        return sound.write(key, body, o)
      },
    }),
  },
  {
    fault: 'bytes in memory are kept by reference',
    caughtBy: /^write: strings/,
    breakIt: (sound) => {
      const kept = new Map<string, Uint8Array>()
      return {
        async writeBytes(key, bytes, o) {
          kept.set(key, bytes)
          return sound.write(key, streamOf(bytes), o)
        },
        async read(key, o) {
          const bytes = kept.get(key)
          return bytes === undefined ? sound.read(key, o) : { info: await sound.stat(key, o), body: streamOf(bytes) }
        },
      }
    },
  },
  {
    fault: 'list stops at 1,000',
    caughtBy: /^list: 1,100/,
    breakIt: (sound) => listing(sound, (all) => all.slice(0, 1000)),
  },
  {
    fault: 'list ignores the limit',
    caughtBy: /^list: 1,100/,
    breakIt: (sound) => ({ list: (prefix, { limit: _limit, ...o }) => sound.list(prefix, o) }),
  },
  {
    fault: 'list includes the key of after',
    caughtBy: /^list: 1,100/,
    breakIt: (sound) => ({
      async *list(prefix, o) {
        if (o.after !== undefined)
          yield await sound
            .stat(o.after, {})
            .catch(() => ({ key: o.after ?? '', size: 0, modified: new Date(), version: '' }))
        yield* sound.list(prefix, o)
      },
    }),
  },
  {
    fault: 'a prefix means a folder',
    caughtBy: /^list: (a prefix|1,100)/,
    breakIt: (sound) =>
      listing(sound, (all, prefix) =>
        all.filter(
          (info) => prefix === '' || prefix.endsWith('/') || info.key === prefix || info.key.startsWith(`${prefix}/`),
        ),
      ),
  },
  {
    fault: 'a folder comes before its siblings',
    caughtBy: /^list: a prefix/,
    breakIt: (sound) =>
      listing(sound, (all) =>
        [...all].sort((a, b) => (a.key.replaceAll('/', '\u0001') < b.key.replaceAll('/', '\u0001') ? -1 : 1)),
      ),
  },
  {
    fault: 'a blob under another as if in a folder is not listed',
    caughtBy: /^list: a prefix/,
    breakIt: (sound) =>
      listing(sound, (all) => all.filter((info) => !all.some((other) => info.key.startsWith(`${other.key}/`)))),
  },
  {
    fault: 'keys ignore case',
    caughtBy: /^keys: odd/,
    breakIt: (sound) => ({ writeBytes: (key, bytes, o) => sound.write(key.toLowerCase(), streamOf(bytes), o) }),
  },
  {
    fault: 'deleting a missing key throws',
    caughtBy: /^delete: a missing/,
    breakIt: (sound) => ({
      async delete(keys, o) {
        for (const key of keys) await sound.stat(key, {})
        await sound.delete(keys, o)
      },
    }),
  },
  {
    fault: 'delete takes the first key only',
    caughtBy: /^(delete|list: 1,100)/,
    breakIt: (sound) => ({ delete: (keys, o) => sound.delete(keys.slice(0, 1), o) }),
  },
  {
    fault: 'delete takes everything that begins so',
    caughtBy: /^list: a prefix/,
    breakIt: (sound) => ({
      async delete(keys, o) {
        for (const key of keys)
          await sound.delete(
            (await infos(sound.list(key, o))).map((info) => info.key),
            o,
          )
      },
    }),
  },
  {
    fault: 'a range is one byte long too many',
    caughtBy: /^read: ranges/,
    breakIt: (sound) => ({
      read: (key, o) =>
        sound.read(
          key,
          o.range?.length === undefined ? o : { ...o, range: { ...o.range, length: o.range.length + 1 } },
        ),
    }),
  },
  {
    fault: 'a range is ignored',
    caughtBy: /^read: ranges/,
    breakIt: (sound) => ({ read: (key, { range: _range, ...o }) => sound.read(key, o) }),
  },
  {
    fault: 'the size of a range is given as that of the blob',
    caughtBy: /^read: ranges/,
    breakIt: (sound) => ({
      async read(key, o) {
        const { info, body } = await sound.read(key, o)
        return { info: { ...info, size: o.range?.length ?? info.size }, body }
      },
    }),
  },
  {
    fault: 'readInto begins at 0',
    caughtBy: /^read: ranges/,
    breakIt: (sound) => ({
      readInto: (key, into, o) => sound.readInto?.(key, into, { ...o, offset: 0 }) as Promise<BlobInfo>,
    }),
  },
  {
    fault: 'a range beyond the end is empty',
    caughtBy: /^read: a range that begins/,
    breakIt: (sound) => ({
      async read(key, o) {
        const info = await sound.stat(key, {})
        return (o.range?.offset ?? 0) >= info.size ? { info, body: streamOf(new Uint8Array()) } : sound.read(key, o)
      },
    }),
  },
  {
    fault: 'read ignores ifVersion',
    caughtBy: /^read: ifVersion/,
    breakIt: (sound) => ({ read: (key, { ifVersion: _version, ...o }) => sound.read(key, o) }),
  },
  {
    fault: 'a missing blob is empty',
    caughtBy: /^read: a missing/,
    breakIt: (sound) => ({
      read: (key, o) =>
        sound.read(key, o).catch(() => ({
          info: { key, size: 0, modified: new Date(), version: '' },
          body: streamOf(new Uint8Array()),
        })),
    }),
  },
  {
    fault: 'a body that is cancelled unread keeps its socket',
    caughtBy: /^read: 200 bodies/,
    breakIt: (sound) => {
      let sockets = 50
      return {
        async read(key, o) {
          if (sockets-- === 0) throw new Error('socket pool exhausted')
          const { info, body } = await sound.read(key, o)
          const reader = body.getReader()
          const passed = new ReadableStream<Uint8Array>({
            async pull(controller) {
              const { done, value } = await reader.read()
              if (!done) return controller.enqueue(value)
              sockets++
              controller.close()
            },
          })
          return { info, body: passed }
        },
      }
    },
  },
  {
    fault: 'the version stays the same when a blob is overwritten',
    caughtBy: /^write: overwritten/,
    breakIt: (sound) => ({
      write: async (key, body, o) => ({ ...(await sound.write(key, body, o)), version: '1' }),
    }),
  },
  { fault: 'metadata is dropped', caughtBy: /^meta/, breakIt: (sound) => writing(sound, (o) => without(o, 'meta')) },
  {
    fault: 'metadata outlives an overwrite',
    caughtBy: /^meta/,
    breakIt: (sound) => ({
      async writeBytes(key, bytes, o) {
        const old = await sound.stat(key, {}).catch(() => undefined)
        return sound.write(key, streamOf(bytes), { ...o, ...(old?.meta ? { meta: old.meta } : {}) })
      },
    }),
  },
  {
    fault: 'a copy forgets its condition',
    caughtBy: /^copy/,
    breakIt: (sound) => ({ copy: (from, to) => sound.copy?.(from, to, {}) as Promise<BlobInfo> }),
  },
  {
    fault: 'can.copy without a method',
    caughtBy: /^(copy|lifecycle: the capabilities)/,
    breakIt: () => ({ copy: undefined as never }),
  },
  {
    fault: 'an unfinished write leaves parts',
    caughtBy: /^write: a source that fails/,
    breakIt: (sound) => {
      let left = 0
      return {
        async write(key, body, o) {
          left++
          const info = await sound.write(key, body, o)
          left--
          return info
        },
        sweep: async () => ({ count: left, bytes: 0 }),
      }
    },
  },
  {
    fault: 'sweep takes blobs',
    caughtBy: /^sweep/,
    breakIt: (sound) => ({
      async sweep(o) {
        const all = await infos(sound.list('', {}))
        if (o.dryRun !== true)
          await sound.delete(
            all.map((info) => info.key),
            {},
          )
        return { count: 0, bytes: 0 }
      },
    }),
  },
  {
    fault: 'the signal is ignored',
    caughtBy: /^abort: every call/,
    breakIt: (sound) => ({ delete: (keys) => sound.delete(keys, {}) }),
  },
  {
    fault: 'a stream is held whole',
    caughtBy: /^memory/,
    inProcess: false,
    breakIt: () => {
      // Buffers that die all at once, as a former test may leave them, must not hide it.
      for (let i = 0, dead: unknown[] = []; i < 1000; i++) dead = [...dead, new Uint8Array(256 * 1024).fill(1)]
      return {}
    },
  },
  {
    fault: 'closing loses what was written',
    caughtBy: /^lifecycle: after close/,
    breakIt: (sound) => ({
      async close() {
        await sound.delete(
          (await infos(sound.list('', {}))).map((info) => info.key),
          {},
        )
      },
    }),
  },
  {
    fault: 'writes are seen only by the driver that made them',
    caughtBy: /^write: every size/,
    breakIt: () => {
      const apart = memoryBlobs()
      return {
        write: (...args) => apart.write(...args),
        writeBytes: undefined as never,
        read: (...args) => apart.read(...args),
        readInto: undefined as never,
        stat: (...args) => apart.stat(...args),
      }
    },
  },
]
