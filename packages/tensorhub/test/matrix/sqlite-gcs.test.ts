import { matrix } from './pair.ts'

matrix('sqlite', 'gcs')
