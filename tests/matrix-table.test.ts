import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { expectedSuites, matrixTables, README, readmeWithMatrix, withMatrix } from '../tools/matrix-table/table.ts'
import { nameOfPair, PAIRS } from '../tools/servers/pairs.ts'

const GATE = "step 'sweep' node tools/sweep/run.ts\n"
const rowOf = (tables: string, name: string) =>
  tables
    .split('\n')
    .find((line) => line.startsWith(`| ${name} `))
    ?.split('|')
    .map((cell) => cell.trim())
    .slice(1, -1)

describe('what runs where, in the README', () => {
  it('is what the tests and the gate say', () => {
    expect(readFileSync(README, 'utf8'), 'stale: run node tools/matrix-table/write.ts').toBe(readmeWithMatrix())
  })

  it.each(PAIRS)('the facade and a task run on %s and %s', (index, blobs) => {
    const name = nameOfPair(index, blobs)
    expect(rowOf(matrixTables(expectedSuites(), GATE), name)?.slice(1, 3)).toEqual(['✓', '✓'])
  })

  it('says of a pair only what its suites say', () => {
    const file = {
      'packages/x/test/x.test.ts': [
        'the facade on MongoDB and S3',
        'copyTo from MongoDB and S3 to SQLite and Azure',
        'F6 on MongoDB and S3: a process killed at changes of a store',
        'the facade on embedded folder',
      ],
    }
    const tables = matrixTables(file, GATE)
    expect(rowOf(tables, 'MongoDB and S3')).toEqual(['MongoDB and S3', '✓', '—', '✓', '✓', 'from'])
    expect(rowOf(tables, 'SQLite and Azure')).toEqual(['SQLite and Azure', '—', '—', '✓', '—', 'to'])
    expect(rowOf(tables, 'SQLite and files')).toEqual(['SQLite and files', '✓', '—', '✓', '—', '—'])
    expect(rowOf(matrixTables(file, '# tools/sweep/run.ts\n'), 'MongoDB and S3')?.[3]).toBe('—')
  })

  it('has a row a driver and layer, with its servers and modes', () => {
    const tables = matrixTables(
      {
        'packages/x/test/conformance.test.ts': [
          'index conformance: mongodb on A, standalone',
          'index properties: mongodb on A, standalone',
          'index conformance: mongodb on B',
          'blob conformance: s3 (C), small parts',
          'blob conformance: fs',
        ],
        'packages/conformance/test/wrapped.test.ts': ['blob conformance: a driver of parts'],
      },
      GATE,
    )
    expect(rowOf(tables, 'mongodb')).toEqual(['mongodb', 'index', 'A (standalone) · B'])
    expect(rowOf(tables, 's3')).toEqual(['s3', 'blobs', 'C (small parts)'])
    expect(rowOf(tables, 'fs')).toEqual(['fs', 'blobs', 'no server'])
    expect(tables).not.toContain('of parts')
    expect(() => matrixTables({ 'packages/x/t.ts': ['blob conformance: s3, odd: title'] }, GATE)).toThrow(
      /s3, odd: title/,
    )
  })

  it('needs its markers', () => expect(() => withMatrix('# Title\n', '')).toThrow(/markers/))
})
