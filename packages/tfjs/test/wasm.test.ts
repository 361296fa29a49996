import { loadTf } from '../src/index.ts'
import { backendSuite } from './suite.ts'

backendSuite('wasm', () => loadTf<typeof import('@tensorflow/tfjs')>({ prefer: 'wasm' }))
