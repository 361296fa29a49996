import { matrix } from './pair.ts'

await matrix('mongodb', 's3')
