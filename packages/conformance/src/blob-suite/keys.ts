import { compareStrings, isHubError } from '@tensorhub/core'
import { check, collect, equal, rejects } from '../expect.ts'
import type { BlobTest } from './bench.ts'
import { bytesOf, sameBytes, sha256 } from './bytes.ts'

export const keyTests: readonly BlobTest[] = [
  [
    'list: 1,100 keys over all pages in the order of their bytes, with after and limit',
    async (bench) => {
      const p = bench.prefix()
      const keys = Array.from({ length: 1100 }, (_, i) => `${p}k${i}`)
      for (let i = 0; i < keys.length; i += 50)
        await Promise.all(keys.slice(i, i + 50).map((key) => bench.store.write(key, key)))
      const sorted = [...keys].sort(compareStrings)
      equal((await bench.keys(p)).join(), sorted.join(), 'all keys')
      equal(
        (await bench.keys(`${p}k99`)).join(),
        sorted.filter((key) => key.startsWith(`${p}k99`)).join(),
        'the keys of a prefix',
      )
      const page = async (o: { after?: string; limit?: number }) =>
        (await collect(bench.store.list(p, o))).map((info) => info.key)
      equal(await page({ limit: 3 }), sorted.slice(0, 3), 'limit 3')
      equal(await page({ limit: 0 }), [], 'limit 0')
      equal((await page({ limit: 1050 })).length, 1050, 'a limit beyond one page')
      equal(await page({ after: sorted[500] as string, limit: 2 }), sorted.slice(501, 503), 'after a key')
      equal((await page({ after: sorted[500] as string })).length, 599, 'how many after a key')
      equal(
        await page({ after: `${sorted[500]}-none`, limit: 1 }),
        sorted.slice(501, 502),
        'after a key that is not there',
      )
      equal(await page({ after: sorted[1099] as string }), [], 'after the last key')
      const infos = await collect(bench.store.list(p, { limit: 5 }))
      for (const info of infos) equal(info.size, info.key.length, `the size of ${info.key} in the list`)
      await bench.store.delete(keys)
      equal(await bench.keys(p), [], 'the keys after deleting all of them')
    },
  ],
  [
    'list: a prefix is a beginning of text, and siblings of a folder stay apart and in order',
    async (bench) => {
      const p = bench.prefix()
      const keys = [
        'a',
        'a/b',
        'a/b/c',
        'a-',
        'a.b',
        'a0',
        'ab',
        'A',
        'a/a-/x',
        'a/a/x',
        'a~',
        'a=',
        'a@b',
        'a+b',
        '_a',
      ]
        .filter((key) => !bench.harness.keysArePaths || !['a', 'a/b'].includes(key))
        .map((key) => p + key)
      for (const key of keys) await bench.store.write(key, key)
      const sorted = [...keys].sort(compareStrings)
      const again = await bench.again()
      for (const store of [bench.store, again]) equal(await bench.keys(p, store), sorted, 'all keys')
      for (const prefix of ['a', 'a/', 'ab', 'a/a', 'a/b', 'a/b/', 'A', 'b', 'a/b/c', 'a/b/cd', '_']) {
        equal(
          await bench.keys(p + prefix),
          sorted.filter((key) => key.startsWith(p + prefix)),
          `the keys that begin with ${prefix}`,
        )
      }
      for (const after of sorted) {
        equal(
          (await collect(bench.store.list(p, { after }))).map((info) => info.key),
          sorted.filter((key) => compareStrings(key, after) > 0),
          `the keys after ${after}`,
        )
      }
      for (const key of keys)
        sameBytes(await bench.store.bytes(key), new TextEncoder().encode(key), `the content of ${key}`)
      await bench.store.delete([`${p}a`])
      equal(
        await bench.keys(p),
        sorted.filter((key) => key !== `${p}a`),
        'the keys after deleting the one others lie under',
      )
    },
  ],
  [
    'list: over the whole store has every key; a loop that is left early leaves the store working',
    async (bench) => {
      const store = await bench.fresh()
      const keys = ['b/1', 'a', 'c/d/e', 'b/0']
      for (const key of keys) await store.write(key, 'x')
      equal(await bench.keys('', store), [...keys].sort(), 'all keys')
      for (let i = 0; i < 50; i++) for await (const _info of store.list('')) break
      equal((await bench.keys('', store)).length, 4, 'how many keys')
    },
  ],
  [
    'keys: odd but allowed characters, long ones, names that differ by case only',
    async (bench) => {
      const p = bench.prefix()
      const keys = [
        '.hidden',
        '..a',
        'a..b',
        '-x',
        '~',
        '=',
        '+',
        '@',
        '_',
        'A',
        'a',
        'tmp',
        '.tmp',
        'x.tmp',
        'x/.part',
        'node_modules',
        'index.html',
        `${'l'.repeat(200)}`,
        `${'d/'.repeat(100)}deep`,
      ]
      for (const key of keys) await bench.store.write(p + key, key)
      for (const key of keys)
        sameBytes(await bench.store.bytes(p + key), new TextEncoder().encode(key), `the content of ${key}`)
      equal(await bench.keys(p), keys.map((key) => p + key).sort(compareStrings), 'all keys')
      await bench.store.delete(keys.map((key) => p + key))
      equal(await bench.keys(p), [], 'the keys afterwards')
    },
  ],
  [
    'keys: what is no key is INVALID before any I/O',
    async (bench) => {
      for (const key of [
        '',
        '/',
        '/a',
        'a/',
        'a//b',
        '.',
        '..',
        'a/../b',
        '../a',
        'a/.',
        'a\\b',
        'a b',
        'é',
        'a\u0000',
        'a%2e',
        'con',
        'a/nul.txt',
        'x.',
        'a?b',
        'l'.repeat(600),
      ]) {
        const what = `the key ${JSON.stringify(key.slice(0, 20))}`
        await rejects(() => bench.store.write(key, 'x'), 'INVALID', `writing ${what}`)
        await rejects(() => bench.store.read(key), 'INVALID', `reading ${what}`)
        await rejects(() => bench.store.stat(key), 'INVALID', `stat of ${what}`)
        await rejects(async () => bench.store.delete([key]), 'INVALID', `deleting ${what}`)
      }
      await rejects(() => collect(bench.store.list('../')), 'INVALID', 'listing ../')
      await rejects(() => collect(bench.store.list('', { limit: -1 })), 'INVALID', 'listing with limit -1')
    },
  ],
  [
    'delete: a missing key is success; many at once; others stay',
    async (bench) => {
      const p = bench.prefix()
      await bench.store.delete([`${p}none`])
      await bench.store.delete([])
      for (const key of ['a', 'b', 'c']) await bench.store.write(p + key, key)
      await bench.store.delete([`${p}none`, `${p}a`, `${p}a`, `${p}none/x`, `${p}c`])
      equal(await bench.keys(p, await bench.again()), [`${p}b`], 'the keys afterwards')
    },
  ],
  [
    'copy: the content and its metadata; conditions hold; UNSUPPORTED where there is none',
    async (bench) => {
      const p = bench.prefix()
      const can = await bench.can()
      const bytes = bytesOf((await bench.part()) + 3, 2)
      await bench.store.write(`${p}a`, bytes, can.meta ? { contentType: 'text/x', meta: { m: '1' } } : {})
      if (!can.copy) {
        await rejects(() => bench.store.copy(`${p}a`, `${p}b`), 'UNSUPPORTED', 'copy')
        check(
          bench.harness.narrow !== undefined || bench.store.driver.copy === undefined,
          'a copy method without can.copy',
        )
        return
      }
      const info = await bench.store.copy(`${p}a`, `${p}b`)
      equal([info.key, info.size], [`${p}b`, bytes.byteLength], 'what copy gives')
      sameBytes(await bench.store.bytes(`${p}b`), bytes, 'the copy')
      if (can.meta) equal((await bench.store.stat(`${p}b`)).contentType, 'text/x', 'the content type of the copy')
      await bench.store.write(`${p}a`, 'changed')
      sameBytes(await bench.store.bytes(`${p}b`), bytes, 'the copy after the original changed')
      await rejects(() => bench.store.copy(`${p}none`, `${p}c`), 'NOT_FOUND', 'copying what is not there')
      const absent = () => bench.store.copy(`${p}a`, `${p}b`, { when: { ifAbsent: true } })
      await rejects(absent, can.ifAbsent ? 'EXISTS' : 'UNSUPPORTED', 'copying with ifAbsent over a blob')
      sameBytes(await bench.store.bytes(`${p}b`), bytes, 'the copy after a refused copy')
      const over = (ifVersion: string) => bench.store.copy(`${p}a`, `${p}b`, { when: { ifVersion } })
      if (!can.ifVersion) {
        await rejects(() => over(info.version), 'UNSUPPORTED', 'copying with ifVersion where it is not supported')
        return
      }
      await over(info.version)
      await rejects(() => over(info.version), 'CONFLICT', 'copying with ifVersion over a newer version')
      sameBytes(await bench.store.bytes(`${p}b`), new TextEncoder().encode('changed'), 'the content copied over')
    },
  ],
  [
    'sign: a URL of http(s) that gives the bytes; UNSUPPORTED where there is none',
    async (bench) => {
      const key = `${bench.prefix()}a`
      await bench.store.write(key, 'signed')
      if (!(await bench.can()).sign) {
        await rejects(() => bench.store.sign(key, { method: 'GET', expiresIn: 60 }), 'UNSUPPORTED', 'sign')
        check(
          bench.harness.narrow !== undefined || bench.store.driver.sign === undefined,
          'a sign method without can.sign',
        )
        return
      }
      const url = await bench.store.sign(key, { method: 'GET', expiresIn: 60 })
      equal(await (await fetch(url, { headers: url.headers ?? {} })).text(), 'signed', 'what the signed URL gives')
    },
  ],
  [
    'sign: a URL to upload to; one that names the hash takes no other body, or is UNSUPPORTED',
    async (bench) => {
      if (!(await bench.can()).sign) return
      const p = bench.prefix()
      const put = async (key: string, body: Uint8Array<ArrayBuffer>, hash?: string) => {
        const o = { method: 'PUT', expiresIn: 60, ...(hash === undefined ? {} : { sha256: hash }) } as const
        const url = await bench.store.sign(key, o)
        const answer = await fetch(url, { method: 'PUT', body, headers: url.headers ?? {} })
        await answer.arrayBuffer()
        return answer.ok
      }
      const bytes = bytesOf(1000, 4)
      check(await put(`${p}a`, bytes), 'an upload to a signed URL was refused')
      sameBytes(await bench.store.bytes(`${p}a`), bytes, 'what was uploaded')
      await rejects(() => put(`${p}b`, bytes, 'ab'), 'INVALID', 'a hash that is none')
      try {
        check(await put(`${p}b`, bytes, sha256(bytes)), 'an upload of the body that was signed for was refused')
      } catch (error) {
        if (!isHubError(error, 'UNSUPPORTED')) throw error
        return
      }
      sameBytes(await bench.store.bytes(`${p}b`), bytes, 'what was uploaded under its hash')
      check(!(await put(`${p}c`, bytesOf(1000, 5), sha256(bytes))), 'a body other than the one signed for was taken')
      check(!(await bench.store.exists(`${p}c`)), 'a refused upload is there')
    },
  ],
]
