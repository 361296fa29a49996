import { type BlobStore, type Call, HubError, isHubError, isMissingBlob } from '@tensorhub/core'
import { hashHere } from './hashing.ts'
import { checkManifest, type FullManifest, isRef } from './manifest.ts'

/** Gives whole manifests, whether they lie in the document or in a blob. */
export class ManifestLoader {
  readonly #blobs: BlobStore

  constructor(blobs: BlobStore) {
    this.#blobs = blobs
  }

  /** @throws INTEGRITY when it is missing, damaged or malformed; UNSUPPORTED for a newer version. */
  async full(content: unknown, target: string, call: Call): Promise<FullManifest> {
    const manifest = checkManifest(content, target)
    if (!isRef(manifest)) return manifest
    const { key, id, size } = manifest.manifest
    const at = { scheme: 'content', op: 'load', target: key }
    let bytes: Uint8Array
    try {
      // Callers hand over their own options; the blob store takes the signal only.
      bytes = await this.#blobs.bytes(key, call.signal ? { signal: call.signal } : {})
    } catch (error) {
      const missing = isMissingBlob(error)
      if (!missing && !isHubError(error, 'RANGE')) throw error
      throw new HubError('INTEGRITY', `The manifest '${key}' of ${target} is missing or cut off.`, {
        at,
        cause: error,
        ...(missing ? { reason: 'MANIFEST_MISSING' } : {}),
      })
    }
    if (bytes.byteLength !== size || hashHere(bytes) !== id)
      throw new HubError('INTEGRITY', `The manifest '${key}' of ${target} is damaged: it does not hash to ${id}.`, {
        at,
      })
    let parsed: unknown
    try {
      parsed = JSON.parse(new TextDecoder().decode(bytes))
    } catch (cause) {
      throw new HubError('INTEGRITY', `The manifest '${key}' of ${target} is no JSON.`, { at, cause })
    }
    const full = checkManifest(parsed, target)
    if (isRef(full)) throw new HubError('INTEGRITY', `The manifest '${key}' of ${target} refers to another.`, { at })
    return full
  }
}
