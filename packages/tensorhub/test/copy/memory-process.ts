import { TensorHub } from '../../src/index.ts'

/** Copies a folder's hub to another folder, and prints the process's peak memory in MiB: `node memory-process.ts <from> <to>`. */
const [from, to] = process.argv.slice(2) as [string, string]
await using hub = await TensorHub.connect(from, { projectName: 'tutorial', collect: false })
const { bytes } = await hub.copyTo(to)
process.stdout.write(JSON.stringify({ bytes, rss: process.resourceUsage().maxRSS / 1024 }))
