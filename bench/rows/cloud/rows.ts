import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { TensorHub } from 'tensorhub'
import { type Paired, paired, type Row, timed } from '../../paired.ts'
import { bytesOf, tensors } from '../tensors.ts'
import { slowLine } from './slow-line.ts'
import { CLOUD_STORES, type CloudStore } from './stores.ts'

const MIB = 1024 * 1024
/** The least on loopback, where nothing but the processor limits. */
const LOOPBACK = 0.8

type Direction = 'save' | 'load'

/** Saves and loads of a model on a store of blobs, over a slow line and on loopback, each against the SDK's own call plus sha256. */
export const cloudRows: readonly Row[] = CLOUD_STORES.flatMap((store) =>
  (['save', 'load'] as const).map((direction): Row => {
    const bar = store.bars[direction]
    return {
      name: `${store.name.toLowerCase()}-${direction}`,
      package: store.package,
      path: `${direction} 128 MiB, ${store.name}`,
      baseline: `${store.calls[direction]} and sha256, 20 ms round trip, 25 MB/s a connection`,
      bar: `≥ ${bar.toFixed(1)}×, loopback ≥ ${LOOPBACK}×`,
      async run({ folder, quick }) {
        const size = (quick ? 16 : 128) * MIB
        const rounds = quick ? 1 : 5
        const { server, at } = await store.start()
        try {
          const line = await slowLine(server)
          const slow = await measure(direction, await at(line.port), join(folder, 'slow'), size, rounds)
          await line.close()
          const near = await measure(direction, await at(server.port), join(folder, 'near'), size, rounds)
          return {
            figure: `${slow.ratio.toFixed(2)}×`,
            held: slow.ratio >= bar && near.ratio >= LOOPBACK,
            detail: `${speeds(size, slow)}; loopback ${near.ratio.toFixed(2)}×, ${speeds(size, near)}`,
          }
        } finally {
          await server.stop()
        }
      },
    }
  }),
)

async function measure(
  direction: Direction,
  { blobs, plain }: Awaited<ReturnType<Awaited<ReturnType<CloudStore['start']>>['at']>>,
  folder: string,
  size: number,
  rounds: number,
): Promise<Paired> {
  const hub = await TensorHub.connect({ index: `sqlite://${folder}.db`, blobs, projectName: 'bench' })
  try {
    let seed = 1
    if (direction === 'save')
      return await paired(
        rounds,
        async () => {
          const value = tensors(size, seed++)
          return timed(() => hub.models.save('m', value))
        },
        async () => {
          const bytes = joined(tensors(size, seed++))
          return timed(async () => {
            sha256(bytes)
            await plain.save(`plain${seed}`, bytes)
          })
        },
      )
    const value = tensors(size, seed)
    await hub.models.save('m', value)
    await plain.save('plain', joined(value))
    return await paired(
      rounds,
      () => timed(async () => (await hub.models.open({ model_name: 'm' }))?.load()),
      () => timed(async () => sha256(await plain.load('plain'))),
    )
  } finally {
    await hub.close()
    await plain.close()
  }
}

function sha256(bytes: Uint8Array): void {
  createHash('sha256').update(bytes).digest()
}

function joined(value: Record<string, Float32Array>): Buffer {
  const bytes = Buffer.allocUnsafe(bytesOf(value))
  let at = 0
  for (const { buffer, byteOffset, byteLength } of Object.values(value)) {
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), at)
    at += byteLength
  }
  return bytes
}

function speeds(size: number, { ours, baseline }: Paired): string {
  const speed = (ms: number) => (size / MIB / (ms / 1000)).toFixed(0)
  return `${speed(ours)} against ${speed(baseline)} MiB/s`
}
