import type { UserConfig } from 'tsdown'

/** One output file a source file, so that worker and child-process entry points keep their relative places. */
export const base: UserConfig = {
  entry: ['src/**/*.ts', '!src/**/*.test.ts'],
  format: 'esm',
  platform: 'node',
  target: 'node22.18',
  unbundle: true,
  dts: true,
  clean: true,
}
