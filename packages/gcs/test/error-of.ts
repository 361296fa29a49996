import { type HubError, isHubError } from '@tensorhub/core'

/** The HubError that a call fails with. */
export async function errorOf(call: Promise<unknown>): Promise<HubError> {
  try {
    await call
  } catch (error) {
    if (isHubError(error)) return error
    throw error
  }
  throw new Error('It did not fail.')
}
