import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    // Two test files at a time: many of them start processes of their own, and the bounds in them were set on two cores.
    maxWorkers: 2,
    // Time limits stand in each project's own file: projects inherit nothing from here.
    globalSetup: ['tools/servers/suites/global-setup.ts'],
    projects: ['packages/*', 'examples/*', 'tools/servers', 'tests'],
  },
})
