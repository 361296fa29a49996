import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Recipe } from './recipe.ts'

const INSTALL = fileURLToPath(new URL('../install.ts', import.meta.url))
const SAY_EVERY_MS = 60_000

/** Runs the install of one server in a process of its own, so that this one stays responsive. @throws with what it said */
export async function installByProcess(recipe: Recipe, say: (line: string) => void): Promise<void> {
  const began = Date.now()
  const child = spawn(process.execPath, [INSTALL, recipe.folder], { stdio: ['ignore', 'ignore', 'pipe'] })
  const onExit = () => child.kill('SIGKILL')
  process.once('exit', onExit)
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text
    for (const line of text.split('\n')) if (line.trim() !== '') say(line.replace(/^servers: /, ''))
  })
  const timer = setInterval(() => {
    say(`still installing ${recipe.name} after ${Math.round((Date.now() - began) / 1000)} s`)
  }, SAY_EVERY_MS)
  try {
    const code = await new Promise<number | NodeJS.Signals>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => resolve(code ?? signal ?? 'SIGKILL'))
    })
    if (code !== 0) throw new Error(said.trim() || `the install of ${recipe.name} ended with ${code}`)
  } finally {
    clearInterval(timer)
    process.off('exit', onExit)
  }
}
