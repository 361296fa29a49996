import { matrix } from './pair.ts'

await matrix('sqlite', 'gridfs')
