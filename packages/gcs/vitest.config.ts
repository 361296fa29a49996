import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: '@tensorhub/gcs', testTimeout: 300_000, hookTimeout: 300_000 } })
