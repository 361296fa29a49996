/**
 * Names of Azure metadata are identifiers, and read in lower case by HTTP clients: no `-`, no capitals. So `_` becomes `__` and `-` becomes `_d`, which is
 * reversible for every name that core takes (a–z, 0–9, `_`, `-`, from a letter).
 * https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources
 */
const ESCAPES: Readonly<Record<string, string>> = { _: '__', '-': '_d' }

/** Which writing of a key this is: what tells a lost reply from a lost race. No encoded name can be this one. */
const NONCE = 'tensorhub_write'

/** What is stored for the caller's metadata and the nonce of the write. */
export function encodeMeta(meta: Readonly<Record<string, string>> | undefined, nonce: string): Record<string, string> {
  const names = Object.entries(meta ?? {}).map(([name, value]) => [
    name.replace(/[_-]/g, (c) => ESCAPES[c] ?? c),
    value,
  ])
  return { ...Object.fromEntries(names), [NONCE]: nonce }
}

/** Metadata of a blob as its copy has it: what another program stored is escaped first, since a nonce says that all of it is. */
export function withNonce(stored: Readonly<Record<string, string>> | undefined, nonce: string): Record<string, string> {
  return nonceOf(stored) === undefined ? encodeMeta(stored, nonce) : { ...stored, [NONCE]: nonce }
}

export function nonceOf(stored: Readonly<Record<string, string>> | undefined): string | undefined {
  return stored?.[NONCE]
}

/** The caller's metadata; undefined when there is none. Names of blobs that other programs wrote, which have no nonce, stay as they are. */
export function decodeMeta(
  stored: Readonly<Record<string, string>> | undefined,
): Readonly<Record<string, string>> | undefined {
  const names = Object.entries(stored ?? {}).filter(([name]) => name.toLowerCase() !== NONCE)
  if (names.length === 0) return undefined
  if (nonceOf(stored) === undefined) return Object.fromEntries(names)
  return Object.fromEntries(
    names.map(([name, value]) => [name.replace(/__|_d/g, (code) => (code === '__' ? '_' : '-')), value]),
  )
}
