import { spawn } from 'node:child_process'

/** What a terminal got, and when: ms since the start. */
export interface Piece {
  readonly at: number
  readonly text: string
}

/**
 * Runs a command in a pseudo-terminal of the given size, which `script` of util-linux makes, and gives everything it wrote.
 *
 * @throws When it ends with anything but 0.
 */
export function recordTerminal(
  command: string,
  size: { readonly columns: number; readonly rows: number },
  where: { readonly cwd: string; readonly env: NodeJS.ProcessEnv },
): Promise<Piece[]> {
  const sized = `stty cols ${size.columns} rows ${size.rows}; ${command}`
  const env = { ...process.env, ...where.env, TERM: 'xterm-256color', COLORTERM: 'truecolor' }
  const child = spawn('script', ['--quiet', '--flush', '--return', '--command', sized, '/dev/null'], {
    cwd: where.cwd,
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pieces: Piece[] = []
  const start = performance.now()
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    pieces.push({ at: performance.now() - start, text })
    process.stdout.write(text)
  })
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => {
      if (code === 0) resolve(pieces)
      else reject(new Error(`'${command}' ended with ${code}; there is nothing to show.`))
    })
  })
}
