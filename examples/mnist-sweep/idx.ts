/**
 * The IDX format of the MNIST files: two zero bytes, a byte for the type (0x08 = unsigned byte), a byte for the number of axes, each axis as a
 * big-endian uint32, then the data in row order. (LeCun, Cortes, Burges: THE MNIST DATABASE, "file formats".)
 */
export interface Idx {
  readonly shape: readonly number[]
  /** A view of the file's bytes. */
  readonly data: Uint8Array
}

const UNSIGNED_BYTE = 0x08
const MAX_AXES = 4

/** @throws when the bytes are not an IDX file of unsigned bytes of exactly the length its header says; `name` is for the message. */
export function readIdx(bytes: Uint8Array, name: string): Idx {
  const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (bytes.byteLength < 4 || header.getUint16(0) !== 0)
    throw new Error(`${name} is no IDX file: it does not begin with two zero bytes.`)
  const [type, axes] = [header.getUint8(2), header.getUint8(3)]
  if (type !== UNSIGNED_BYTE)
    throw new Error(`${name} holds elements of type 0x${type.toString(16)}; only 0x08, unsigned bytes, is read here.`)
  if (axes < 1 || axes > MAX_AXES) throw new Error(`${name} says it has ${axes} axes; 1 to ${MAX_AXES} are read here.`)
  const start = 4 + 4 * axes
  if (bytes.byteLength < start) throw new Error(`${name} ends inside its header.`)
  const shape = Array.from({ length: axes }, (_, axis) => header.getUint32(4 + 4 * axis))
  const size = shape.reduce((total, length) => total * length, 1)
  if (bytes.byteLength - start !== size) {
    throw new Error(
      `${name} should hold ${shape.join(' × ')} = ${size} bytes after its header and holds ${bytes.byteLength - start}.`,
    )
  }
  return { shape, data: bytes.subarray(start) }
}
