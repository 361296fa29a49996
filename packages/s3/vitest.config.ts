import { defineProject } from 'vitest/config'

export default defineProject({ test: { name: '@tensorhub/s3', testTimeout: 300_000, hookTimeout: 300_000 } })
