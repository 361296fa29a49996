import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    testTimeout: 120_000,
    hookTimeout: 120_000,
    // Two test files at a time: many of them start processes of their own, and the bounds in them were set on two cores.
    maxWorkers: 2,
    projects: ['packages/*', 'examples/*', 'tests'],
  },
})
