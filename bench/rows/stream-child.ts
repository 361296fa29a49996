import { readFileSync } from 'node:fs'
import { TensorHub } from 'tensorhub'

const [folder, gib] = process.argv.slice(2) as [string, string]
const hub = await TensorHub.connect(folder, { projectName: 'bench', collect: false })
const total = Math.round(Number(gib) * 2 ** 30)
const PIECE = 1024 * 1024

/** Pseudo-random bytes that differ everywhere: nothing to deduplicate, nothing to compress. */
async function* generate(): AsyncGenerator<Uint8Array> {
  let x = 88172645
  for (let made = 0; made < total; made += PIECE) {
    const words = new Uint32Array(PIECE / 4)
    for (let i = 0; i < words.length; i++) {
      x ^= x << 13
      x ^= x >>> 17
      x ^= x << 5
      words[i] = x
    }
    yield new Uint8Array(words.buffer)
  }
}

const start = performance.now()
const record = await hub.datasets.save('stream', generate())
const saved = performance.now()
const handle = await hub.datasets.open(record._id)
if (handle === undefined) throw new Error('the saved stream is not found')
let seen = 0
for await (const piece of handle.stream()) seen += piece.byteLength
if (seen !== total) throw new Error(`${seen} of ${total} bytes came back`)
const loaded = performance.now()
await hub.close()
console.log(
  JSON.stringify({
    peak: peakKiB(),
    inSeconds: (saved - start) / 1000,
    outSeconds: (loaded - saved) / 1000,
  }),
)

/** Linux counts into a new process's `maxRSS` what its parent had when it was started; the kernel's own mark of this memory does not. */
function peakKiB(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS
  const mark = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))
  return Number(mark?.[1])
}
