import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: '@tensorhub/azure', testTimeout: 300_000, hookTimeout: 300_000 } })
