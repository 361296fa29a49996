import { defineConfig } from 'tsdown'
import { base } from '../../tsdown.base.ts'

const CHILD = 'src/tasks/child/bootstrap.ts'

export default defineConfig([
  { ...base, entry: ['src/**/*.ts', `!${CHILD}`] },
  // A task's process loads one file at its start, not six: some ms of each attempt. Nothing else imports it.
  { ...base, entry: { 'tasks/child/bootstrap': CHILD }, unbundle: false, dts: false, clean: false },
])
