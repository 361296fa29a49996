import type { BlobServiceClient, BlockBlobClient, ContainerClient } from '@azure/storage-blob'
import type { ErrorPlace } from '@tensorhub/core'
import type { Where } from './errors.ts'
import type { Transfer } from './options.ts'
import type { Requests } from './requests.ts'

/** An opened container, and how it is spoken to. */
export interface Store {
  readonly container: ContainerClient
  readonly service: BlobServiceClient
  readonly requests: Requests
  readonly transfer: Transfer
  readonly where: Where
  /** The caller's own client may repeat requests by itself: any refusal may then be of a repetition. */
  readonly repeatsItself: boolean
}

export function blobOf({ container, transfer }: Store, key: string): BlockBlobClient {
  return container.getBlockBlobClient(transfer.root + key)
}

export function placeOf(op: string, target: string): ErrorPlace {
  return { scheme: 'azure', op, target }
}
