import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Row } from '../paired.ts'

export const streamRow: Row = {
  name: 'stream',
  path: 'stream 4 GiB from a generator in and out',
  baseline: 'peak RSS of the process, workers included',
  bar: '≤ 256 MiB',
  async run({ folder, quick }) {
    const gib = quick ? 0.25 : 4
    // A process of its own, so that nothing else is in its memory.
    const child = spawn(
      process.execPath,
      [join(import.meta.dirname, 'stream-child.ts'), join(folder, 'hub'), String(gib)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let text = ''
    child.stdout.on('data', (piece: Buffer) => {
      text += piece.toString()
    })
    const [code] = (await once(child, 'close')) as [number | null]
    if (code !== 0) throw new Error(`the streaming process ended with ${code}`)
    const { peak, inSeconds, outSeconds } = JSON.parse(text) as { peak: number; inSeconds: number; outSeconds: number }
    const mib = peak / 1024
    const rate = (seconds: number) => `${Math.round((gib * 1024) / seconds)} MiB/s`
    return {
      figure: `${Math.round(mib)} MiB`,
      held: mib <= 256,
      detail: `${gib} GiB, in ${rate(inSeconds)}, out ${rate(outSeconds)}`,
    }
  },
}
