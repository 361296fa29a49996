import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: 'third-party-adapter', testTimeout: 120_000, hookTimeout: 120_000 } })
