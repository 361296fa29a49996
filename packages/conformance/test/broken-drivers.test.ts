import {
  type BlobHarness,
  blobConformance,
  type IndexHarness,
  indexConformance,
  indexProperties,
  type Runner,
} from '@tensorhub/conformance'
import type { BlobDriver, IndexDriver } from '@tensorhub/core'
import { type MemoryBytes, type MemoryDocuments, memoryBlobs, memoryIndex } from '@tensorhub/memory'
import { describe, expect, it } from 'vitest'
import { blobFaults } from './broken-blob-drivers.ts'
import { indexFaults } from './broken-index-drivers.ts'
import { collectOutcomes } from './collecting-runner.ts'

const UNUSABLE = { why: 'memory is always there' }

/** The sound driver with some methods replaced. */
function broken<D extends object>(sound: D, fault: Partial<D>): D {
  return new Proxy(sound, {
    get(target, name) {
      if (Object.hasOwn(fault, name)) return Reflect.get(fault, name)
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

function indexHarness(breakIt: (sound: IndexDriver) => Partial<IndexDriver>): IndexHarness {
  const on = (documents: MemoryDocuments) => {
    const sound = memoryIndex(documents)
    return broken(sound, breakIt(sound))
  }
  return { make: () => on(new Map()), again: (driver) => on(driver.native?.() as MemoryDocuments), unusable: UNUSABLE }
}

function blobHarness(breakIt: (sound: BlobDriver) => Partial<BlobDriver>, inProcess = true): BlobHarness {
  const on = (bytes: MemoryBytes) => {
    const sound = memoryBlobs(bytes)
    return broken(sound, breakIt(sound))
  }
  return {
    make: () => on(new Map()),
    again: (driver) => on(driver.native?.() as MemoryBytes),
    unusable: UNUSABLE,
    inProcess,
  }
}

const indexSuites = (harness: IndexHarness) => (runner: Runner) => {
  indexConformance('broken', harness, runner)
  indexProperties('broken', harness, runner, { cases: 2000, seed: 1 })
}

/** The tests named must fail, every one of them: a guard that cannot fail guards nothing. */
async function expectCaught(suite: (runner: Runner) => void, caughtBy: RegExp): Promise<void> {
  const outcomes = await collectOutcomes(suite, caughtBy)
  expect(outcomes.length, `no test is called ${caughtBy}`).toBeGreaterThan(0)
  expect(
    outcomes.filter((outcome) => outcome.error === undefined).map((outcome) => outcome.title),
    'tests that passed in spite of the fault',
  ).toEqual([])
}

/** Bound on one fault, in milliseconds: there to end a hang. */
const TIMEOUT = 120_000

describe('the suites pass a sound driver, through the same wrapping', () => {
  it(
    'index',
    async () => {
      const outcomes = await collectOutcomes(indexSuites(indexHarness(() => ({}))))
      expect(outcomes.filter((outcome) => outcome.error !== undefined)).toEqual([])
    },
    TIMEOUT,
  )
  it(
    'blobs',
    async () => {
      const outcomes = await collectOutcomes((runner) =>
        blobConformance(
          'sound',
          blobHarness(() => ({})),
          runner,
        ),
      )
      expect(outcomes.filter((outcome) => outcome.error !== undefined)).toEqual([])
    },
    TIMEOUT,
  )
})

describe('the index suites catch', () => {
  for (const { fault, caughtBy, breakIt } of indexFaults) {
    it(fault, () => expectCaught(indexSuites(indexHarness(breakIt)), caughtBy), TIMEOUT)
  }
})

describe('both suites catch', () => {
  const lifecycle = /^lifecycle: a store that cannot be used/
  it('a store that cannot be used and answers with nothing', async () => {
    await expectCaught((runner) => {
      indexConformance('broken', { ...indexHarness(() => ({})), unusable: () => memoryIndex() }, runner)
      blobConformance('broken', { ...blobHarness(() => ({})), unusable: () => memoryBlobs() }, runner)
    }, lifecycle)
  })

  it('a harness that has none and does not say why', async () => {
    const unusable = { why: '' }
    await expectCaught((runner) => {
      indexConformance('broken', { ...indexHarness(() => ({})), unusable }, runner)
      blobConformance('broken', { ...blobHarness(() => ({})), unusable }, runner)
    }, lifecycle)
  })
})

describe('the blob suite catches', () => {
  for (const { fault, caughtBy, breakIt, inProcess } of blobFaults) {
    it(
      fault,
      () => expectCaught((runner) => blobConformance('broken', blobHarness(breakIt, inProcess), runner), caughtBy),
      TIMEOUT,
    )
  }
})
