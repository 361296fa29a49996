import { writeTables } from './tables.ts'

writeTables()
