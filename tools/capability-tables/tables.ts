import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { azure } from '../../packages/azure/src/index.ts'
import type { BlobCan, IndexCan } from '../../packages/core/src/index.ts'
import { fs } from '../../packages/fs/src/index.ts'
import { gcs } from '../../packages/gcs/src/index.ts'
import { memoryBlobs, memoryIndex } from '../../packages/memory/src/index.ts'
import { gridfs, mongodb } from '../../packages/mongodb/src/index.ts'
import { s3 } from '../../packages/s3/src/index.ts'
import { sqlite } from '../../packages/sqlite/src/index.ts'
import { markdownTable } from '../docs/table.ts'

const START = '<!-- capabilities: written by `node tools/capability-tables/write.ts` -->'
const END = '<!-- /capabilities -->'

const INDEX_MEANING: Readonly<Record<keyof IndexCan, string>> = {
  transactions: '`insert` of several documents is all or nothing',
  uniqueKeys: '`ensureIndex` takes `unique`',
  watch: 'changes are pushed; otherwise core polls',
  maxDocBytes: 'largest document, in bytes',
}

const BLOB_MEANING: Readonly<Record<keyof BlobCan, string>> = {
  ifAbsent: 'a write may demand that the key is free',
  ifVersion: 'a write may demand the version it replaces',
  meta: 'content type and metadata are kept',
  copy: 'copies inside the store',
  sign: 'signed URLs',
  partMin: 'smallest part of an upload, in bytes',
  partMax: 'largest part, in bytes',
  partsMax: 'most parts of one upload',
  sizeMax: 'largest blob, in bytes',
  deleteMax: 'keys one delete request carries',
}

/** The drivers whose README has a table, read from the code itself. */
const PACKAGES: Readonly<Record<string, { readonly index?: IndexCan; readonly blobs?: BlobCan }>> = {
  memory: { index: memoryIndex().can, blobs: memoryBlobs().can },
  mongodb: {
    index: mongodb({ url: 'mongodb://never-opened/none' }).can,
    blobs: gridfs({ url: 'mongodb://never-opened/none' }).can,
  },
  sqlite: { index: sqlite({ file: 'never-opened.db' }).can },
  fs: { blobs: fs({ folder: 'never-opened' }).can },
  s3: { blobs: s3({ bucket: 'never-opened' }).can },
  azure: { blobs: azure({ container: 'never-opened', account: 'none', key: 'bm9uZQ==' }).can },
  gcs: { blobs: gcs({ bucket: 'never-opened' }).can },
}

export const packageNames: readonly string[] = Object.keys(PACKAGES)

/** What the README of a package should be: its own text with the table of today between the markers. @throws When it has no markers. */
export function withTables(name: string, readme: string): string {
  const { index, blobs } = PACKAGES[name] ?? {}
  const tables = [
    ...(index ? [table('Index', INDEX_MEANING, index)] : []),
    ...(blobs ? [table('Blobs', BLOB_MEANING, blobs)] : []),
  ].join('\n\n')
  const start = readme.indexOf('<!-- capabilities')
  const end = readme.indexOf(END)
  if (start < 0 || end < start)
    throw new Error(`packages/${name}/README.md has no markers; put '${START}' and '${END}' where the table belongs.`)
  return `${readme.slice(0, start)}${START}\n\n${tables}\n\n${readme.slice(end)}`
}

export function readmeOf(name: string): URL {
  return new URL(`../../packages/${name}/README.md`, import.meta.url)
}

/** Writes the tables of all READMEs. @throws Naming the packages that have none, after the others are written. */
export function writeTables(): void {
  const missing = packageNames.filter((name) => !existsSync(readmeOf(name)))
  for (const name of packageNames.filter((one) => !missing.includes(one))) {
    writeFileSync(readmeOf(name), withTables(name, readFileSync(readmeOf(name), 'utf8')))
  }
  if (missing.length > 0) throw new Error(`These packages have no README.md: ${missing.join(', ')}.`)
}

function table<Can extends object>(
  title: string,
  meaning: Readonly<Record<keyof Can & string, string>>,
  can: Can,
): string {
  const rows = Object.entries<string>(meaning).map(([name, what]) => [
    `\`${name}\``,
    show(Reflect.get(can, name)),
    what,
  ])
  return markdownTable([title, 'here', 'meaning'], rows)
}

function show(value: unknown): string {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  return value === Number.MAX_SAFE_INTEGER ? 'no limit' : Number(value).toLocaleString('en-US')
}
