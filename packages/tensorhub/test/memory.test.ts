import { facadeSuite } from './suite/facade-suite.ts'
import { memory } from './suite/store-pair.ts'

facadeSuite(memory)
