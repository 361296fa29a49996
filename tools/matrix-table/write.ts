import { writeFileSync } from 'node:fs'
import { README, readmeWithMatrix } from './table.ts'

writeFileSync(README, readmeWithMatrix())
