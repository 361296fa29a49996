import { HubError } from '@tensorhub/core'

/** Memory for something that was stored. @throws INVALID (reason TOO_LARGE) when this machine or this engine cannot hold so much in one array. */
export function allocate(bytes: number, what: string): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(bytes)
  } catch (cause) {
    throw new HubError(
      'INVALID',
      `${what} takes ${bytes} bytes, more than one array can have here; read it in parts, with rows() or stream().`,
      { at: { scheme: 'content', op: 'load' }, reason: 'TOO_LARGE', cause },
    )
  }
}
