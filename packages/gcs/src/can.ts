import type { BlobCan } from '@tensorhub/core'
import { SIZE_MAX, UNIT } from './options.ts'

/** What the service does; `open` may find less. */
export const CAN: BlobCan = {
  ifAbsent: true,
  ifVersion: true,
  meta: true,
  copy: true,
  sign: true,
  partMin: UNIT,
  partMax: SIZE_MAX,
  partsMax: SIZE_MAX / UNIT,
  sizeMax: SIZE_MAX,
  deleteMax: 1000,
}
