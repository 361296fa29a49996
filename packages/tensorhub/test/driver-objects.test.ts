import { facadeSuite } from './suite/facade-suite.ts'
import { narrow } from './suite/store-pair.ts'

facadeSuite(narrow)
