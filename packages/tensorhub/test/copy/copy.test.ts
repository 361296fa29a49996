import { embedded, memory, narrow, sqliteAndMemory } from '../suite/store-pair.ts'
import { copySuite } from './copy-suite.ts'

/** From, to. The pairs of servers stand in the files named after them. */
for (const [source, destination] of [
  [embedded, memory],
  [memory, sqliteAndMemory],
  [sqliteAndMemory, embedded],
  [embedded, embedded],
  [narrow, narrow],
] as const)
  copySuite(source, destination)
