import { env } from 'node:process'
import { defineConfig } from 'vitest/config'

// Two test files at a time: many of them start processes of their own, and the bounds in them were set on two cores. Said by the environment, since projects inherit nothing
// from here: by their own default two cores would run one file at a time.
env['VITEST_MAX_WORKERS'] ??= '2'

export default defineConfig({
  test: {
    // Time limits stand in each project's own file: projects inherit nothing from here.
    globalSetup: ['tools/servers/suites/global-setup.ts'],
    projects: ['packages/*', 'examples/*', 'tools/servers', 'tests'],
  },
})
