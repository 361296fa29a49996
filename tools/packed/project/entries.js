import { readFileSync } from 'node:fs'

/** Every entry that the packages name is there and imports. */
const { dependencies } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'))
for (const name of Object.keys(dependencies)) {
  const { exports } = JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), 'utf8'))
  for (const entry of Object.keys(exports)) {
    if (entry === './package.json') continue
    const module = await import(name + entry.slice(1))
    if (Object.keys(module).length === 0) throw new Error(`${name}${entry.slice(1)} exports nothing`)
  }
}
