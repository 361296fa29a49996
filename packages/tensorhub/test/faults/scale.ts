/** `TENSORHUB_FAULTS=full` runs every fault test at its full size (minutes each); otherwise a part that fits into every run of the tests. */
export const FULL = process.env['TENSORHUB_FAULTS'] === 'full'
