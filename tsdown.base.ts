import type { UserConfig } from 'tsdown'

/** One output file a source file, so that worker and child-process entry points keep their relative places. */
export const base: UserConfig = {
  entry: ['src/**/*.ts', '!src/**/*.test.ts'],
  format: 'esm',
  platform: 'node',
  // `.js`, as the packages' exports and the worker entries say; the default for node is `.mjs`.
  fixedExtension: false,
  target: 'node22.18',
  unbundle: true,
  dts: true,
  clean: true,
}
