import { matrix } from './pair.ts'

await matrix('sqlite', 'fs')
