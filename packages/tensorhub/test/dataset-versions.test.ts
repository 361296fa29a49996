import { randomFillSync } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Manifest } from '../src/index.ts'
import { temporaryHub } from './temporary-hub.ts'

const chunksOf = (content: Manifest) => ('chunks' in content ? content.chunks : [])

it('a new version of a dataset stores the rows that changed, wherever they are; deleting the old one keeps it whole', async () => {
  const hub = await temporaryHub()
  const rows = 10_000
  const width = 784
  const images = { dtype: 'uint8', shape: [rows, width], data: randomFillSync(new Uint8Array(rows * width)) }
  const first = await hub.datasets.save('digits', { images }, { version: '1' })
  const data = images.data.slice()
  for (let row = 7; row < rows; row += 100) data.fill(row % 251, row * width, (row + 1) * width)
  const second = await hub.datasets.save('digits', { images: { ...images, data } }, { version: '2' })
  const known = new Set(chunksOf(first.content).map((chunk) => chunk.key))
  const fresh = chunksOf(second.content).filter((chunk) => !known.has(chunk.key))
  const added = fresh.reduce((sum, chunk) => sum + chunk.stored, 0)
  expect(added).toBeGreaterThan(0)
  expect(added / first.content.stored).toBeLessThan(0.012)

  await hub.datasets.delete({ version: '1' })
  const found = (await hub.findTopDataset('digits')) as { images: typeof images }
  expect(Buffer.compare(found.images.data, data)).toBe(0)
  expect((await hub.check({ readData: true })).problems).toEqual([])
})
