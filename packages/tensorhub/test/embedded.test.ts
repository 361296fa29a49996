import { facadeSuite } from './suite/facade-suite.ts'
import { embedded } from './suite/store-pair.ts'

facadeSuite(embedded)
