/** `TENSORHUB_FAULTS=full` runs every fault test at its full size (minutes each); otherwise a part that fits into every run of the tests. */
export const FULL = process.env['TENSORHUB_FAULTS'] === 'full'

/** Milliseconds after which a test of that size hangs. What a loaded machine may take is no measure of the protocol. */
export const BOUND = FULL ? 7_200_000 : 300_000
