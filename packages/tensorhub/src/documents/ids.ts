/** Whether a text is an `_id` that a hub gives: a ULID, or that of a task with an idempotency key. */
export function isId(text: string): boolean {
  return /^([0-9A-HJKMNP-TV-Z]{26}|k-[0-9a-f]{64})$/.test(text)
}
