import type { Manifest } from '@tensorhub/content'
import type { Doc } from '@tensorhub/core'

/** A stored document as the namespaces give it: the hub's fields beside the user's tags. */
export type HubRecord = Doc & { readonly project_name: string; readonly time: Date }

/** A record whose value lies in the content store. */
export type ContentRecord = HubRecord & { readonly content: Manifest & Doc['content'] }

export type DatasetRecord = ContentRecord & { readonly dataset_name: string }
export type ModelRecord = ContentRecord & { readonly model_name: string }
export type LogRecord = HubRecord & { readonly kind: string }
