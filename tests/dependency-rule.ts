import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join, relative, resolve } from 'node:path'

/**
 * Which packages of the workspace each package may use: `core ← drivers`, `core ← content ← tensorhub ← {tfjs, runner, cli,
 * dashboard}`. No driver uses another, nothing looks upward, `conformance` uses core only.
 */
const CORE = ['@tensorhub/core']
const FACADE = [...CORE, '@tensorhub/content', 'tensorhub']
export const MAY_USE: Readonly<Record<string, readonly string[]>> = {
  '@tensorhub/core': [],
  '@tensorhub/conformance': CORE,
  '@tensorhub/memory': CORE,
  '@tensorhub/sqlite': CORE,
  '@tensorhub/fs': CORE,
  '@tensorhub/mongodb': CORE,
  '@tensorhub/s3': CORE,
  '@tensorhub/gcs': CORE,
  '@tensorhub/azure': CORE,
  '@tensorhub/content': CORE,
  tensorhub: [...CORE, '@tensorhub/content', '@tensorhub/sqlite', '@tensorhub/fs', '@tensorhub/memory'],
  '@tensorhub/tfjs': FACADE,
  '@tensorhub/runner': FACADE,
  '@tensorhub/cli': [...FACADE, '@tensorhub/runner', '@tensorhub/dashboard'],
  '@tensorhub/dashboard': FACADE,
}

interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

/** `from 'x'`, `import 'x'`, `import('x')`, type imports among them. Comments are taken out first. */
const IMPORT = /\b(?:from|import)\s*\(?\s*(['"])([^'"\n]+)\1/g
const COMMENT = /\/\*[\s\S]*?\*\/|(?<![:'"`])\/\/[^\n]*/g

export function importsOf(source: string): string[] {
  return [...source.replace(COMMENT, '').matchAll(IMPORT)].map((match) => match[2] ?? '')
}

/** `@tensorhub/core/x` is of package `@tensorhub/core`. */
function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/')
}

/** Every breach of the rule in one package's folder, in words. */
export function breachesOf(folder: string): string[] {
  const manifest: Manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const allowed = MAY_USE[manifest.name]
  if (allowed === undefined)
    return [`${manifest.name} is not in the table of the dependency rule (tests/dependency-rule.ts)`]
  const found: string[] = []
  const optional = Object.keys(manifest.peerDependenciesMeta ?? {})
  const declared = new Set([
    ...Object.keys(manifest.dependencies ?? {}),
    ...Object.keys(manifest.peerDependencies ?? {}),
    ...optional,
  ])
  for (const name of declared) {
    if (isOurs(name) && !allowed.includes(name)) found.push(`${manifest.name} depends on ${name}`)
    if (manifest.name === '@tensorhub/core') found.push(`@tensorhub/core depends on ${name}; it has no dependencies`)
  }
  const sources = join(folder, 'src')
  for (const file of readdirSync(sources, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue
    const path = join(sources, file)
    for (const specifier of importsOf(readFileSync(path, 'utf8'))) {
      const where = `${relative(resolve(folder, '..', '..'), path)} imports ${specifier}`
      if (specifier.startsWith('node:')) continue
      if (isBuiltin(specifier)) found.push(`${where}, which should be node:${specifier}`)
      else if (specifier.startsWith('.')) {
        if (!specifier.endsWith('.ts')) found.push(`${where}, without its ending .ts`)
        if (relative(sources, resolve(path, '..', specifier)).startsWith('..'))
          found.push(`${where}, outside its package`)
      } else {
        const name = packageOf(specifier)
        if (name === manifest.name) found.push(`${where}, its own package by name`)
        else if (isOurs(name) && !allowed.includes(name)) found.push(`${where}, against the dependency rule`)
        else if (!declared.has(name)) found.push(`${where}, which its package.json does not declare`)
      }
    }
  }
  return found
}

function isOurs(name: string): boolean {
  return name === 'tensorhub' || name.startsWith('@tensorhub/')
}
