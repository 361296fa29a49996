import { createHash } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, stat } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { TensorHub } from 'tensorhub'
import { paired, type Row, speedResult, timed } from '../paired.ts'
import { bytesOf, noise, tensors } from './tensors.ts'

const MIB = 1024 * 1024

/** Plain files: 8 MiB pieces, fsync, rename, folder fsync, and sha256 on one thread. */
async function writePlain(folder: string, name: string, value: Record<string, Float32Array>): Promise<void> {
  const hash = createHash('sha256')
  const temp = join(folder, `${name}.tmp`)
  const handle = await open(temp, 'w')
  for (const tensor of Object.values(value)) {
    const bytes = new Uint8Array(tensor.buffer, tensor.byteOffset, tensor.byteLength)
    for (let at = 0; at < bytes.length; at += 8 * MIB) {
      const piece = bytes.subarray(at, at + 8 * MIB)
      hash.update(piece)
      await handle.write(piece)
    }
  }
  hash.digest()
  await handle.sync()
  await handle.close()
  await rename(temp, join(folder, name))
  const directory = await open(folder, 'r')
  await directory.sync()
  await directory.close()
}

export const saveRow: Row = {
  name: 'save',
  path: 'save 256 MiB of tensors, fs',
  baseline: 'write in 8 MiB pieces + fsync + rename + folder fsync, and sha256 on one thread',
  bar: '≥ 0.9×',
  async run({ folder, quick }) {
    const size = (quick ? 32 : 256) * MIB
    const hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'bench', collect: false })
    const plain = join(folder, 'plain')
    await mkdir(plain)
    let seed = 1
    const measured = await paired(
      quick ? 2 : 7,
      async () => {
        const value = tensors(size, seed++)
        return timed(() => hub.datasets.save('d', value))
      },
      async () => {
        const value = tensors(size, seed++)
        const ms = await timed(() => writePlain(plain, 'd', value))
        return ms
      },
    )
    await hub.close()
    return speedResult(
      measured,
      0.9,
      `${Math.round(size / MIB / (measured.ours / 1000))} MiB/s against ${Math.round(size / MIB / (measured.baseline / 1000))}`,
    )
  },
}

export const loadRow: Row = {
  name: 'load',
  path: 'load it, fs',
  baseline: '`readFile` + sha256',
  bar: '≥ 0.9×',
  async run({ folder, quick }) {
    const size = (quick ? 32 : 256) * MIB
    const hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'bench', collect: false })
    const value = tensors(size, 1)
    await hub.datasets.save('d', value)
    await mkdir(join(folder, 'plain'))
    await writePlain(join(folder, 'plain'), 'd', value)
    const measured = await paired(
      quick ? 2 : 9,
      () =>
        timed(async () => {
          const handle = await hub.datasets.open({ dataset_name: 'd' })
          await handle?.load()
        }),
      () =>
        timed(async () =>
          createHash('sha256')
            .update(await readFile(join(folder, 'plain', 'd')))
            .digest(),
        ),
    )
    await hub.close()
    return speedResult(
      measured,
      0.9,
      `${Math.round(size / MIB / (measured.ours / 1000))} MiB/s against ${Math.round(size / MIB / (measured.baseline / 1000))}`,
    )
  },
}

/** sha256 of shared memory on several threads, each its part. */
async function hashOnThreads(threads: readonly Worker[], parts: readonly Uint8Array[]): Promise<void> {
  const share = Math.ceil(parts.length / threads.length)
  await Promise.all(
    threads.map(
      (thread, i) =>
        new Promise<void>((resolve, reject) => {
          thread.once('message', () => resolve())
          thread.once('error', reject)
          thread.postMessage(parts.slice(i * share, (i + 1) * share))
        }),
    ),
  )
}

export const saveAgainRow: Row = {
  name: 'save-again',
  path: 'save the same value again',
  baseline: 'sha256 of the bytes on as many threads',
  bar: '≥ 0.8×, 0 blobs written',
  async run({ folder, quick }) {
    const size = (quick ? 64 : 256) * MIB
    const hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'bench', collect: false })
    const value = tensors(size, 1)
    // The baseline's bytes lie in shared memory, so that handing them to threads costs nothing.
    const parts: Uint8Array[] = []
    for (const tensor of Object.values(value)) {
      for (let at = 0; at < tensor.byteLength; at += 16 * MIB) {
        const piece = new Uint8Array(tensor.buffer, tensor.byteOffset + at, Math.min(16 * MIB, tensor.byteLength - at))
        const shared = new Uint8Array(new SharedArrayBuffer(piece.length))
        shared.set(piece)
        parts.push(shared)
      }
    }
    const code = `const { parentPort } = require('node:worker_threads'); const { createHash } = require('node:crypto')
      parentPort.on('message', (parts) => { for (const part of parts) createHash('sha256').update(part).digest(); parentPort.postMessage(0) })`
    const threads = Array.from({ length: availableParallelism() }, () => new Worker(code, { eval: true }))
    await hub.datasets.save('d', value)
    const before = await countFiles(join(folder, 'hub', 'blobs'))
    const measured = await paired(
      quick ? 2 : 9,
      () => timed(() => hub.datasets.save('d', value)),
      () => timed(() => hashOnThreads(threads, parts)),
    )
    const written = (await countFiles(join(folder, 'hub', 'blobs'))) - before
    for (const thread of threads) await thread.terminate()
    await hub.close()
    const result = speedResult(
      measured,
      0.8,
      `${measured.ours.toFixed(0)} ms against ${measured.baseline.toFixed(0)}; ${written} blobs written`,
    )
    return { ...result, held: result.held && written === 0 }
  },
}

async function countFiles(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter((entry) => entry.isFile()).length
}

export const frozenEpochsRow: Row = {
  name: 'frozen-epochs',
  path: '20 epochs, 90 % of the parameters frozen',
  baseline: 'stored bytes',
  bar: '≤ 1.05 × unique bytes',
  async run({ folder, quick }) {
    const hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'bench', collect: false })
    const size = (quick ? 4 : 40) * MIB
    const frozen: Record<string, Float32Array> = {}
    for (let i = 0; i < 9; i++) frozen[`frozen${i}`] = noise(size / 10, i + 1)
    let unique = bytesOf(frozen)
    for (let epoch = 0; epoch < 20; epoch++) {
      const head = noise(size / 10, 1000 + epoch)
      unique += head.byteLength
      await hub.models.save('net', { architecture: 'bench', weights: { ...frozen, head } }, { epoch })
    }
    await hub.close()
    const stored = await sizeOf(join(folder, 'hub', 'blobs'))
    const ratio = stored / unique
    return {
      figure: `${ratio.toFixed(3)}×`,
      held: ratio <= 1.05,
      detail: `${(stored / MIB).toFixed(1)} MiB stored, ${(unique / MIB).toFixed(1)} unique, ${((20 * size) / MIB).toFixed(0)} saved`,
    }
  },
}

async function sizeOf(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}
