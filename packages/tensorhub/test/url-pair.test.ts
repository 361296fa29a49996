import { facadeSuite } from './suite/facade-suite.ts'
import { sqliteAndMemory } from './suite/store-pair.ts'

facadeSuite(sqliteAndMemory)
