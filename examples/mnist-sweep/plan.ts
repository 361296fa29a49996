/** How much is trained, and what must come out. */
export interface Plan {
  /** Units of each of the two hidden layers, one task a number. */
  readonly units: readonly number[]
  /** Rows of the 60,000 training digits that are trained on; the last 10,000 are kept for validation, as in the original. */
  readonly rows: number
  readonly validationRows: number
  readonly epochs: number
  readonly batch: number
  /** Every model must reach more than this on the 10,000 test digits. */
  readonly bar: number
}

/** The original's three networks and all of its digits. */
export const FULL: Plan = {
  units: [800, 600, 400],
  rows: 50_000,
  validationRows: 10_000,
  epochs: 2,
  batch: 100,
  bar: 0.95,
}
/** For a first look and for continuous integration: the same, on a fifth of the rows. */
export const QUICK: Plan = { ...FULL, rows: 10_000, validationRows: 2_000, bar: 0.9 }

export const PROJECT = 'mnist-sweep'
export const TASK = 'mnist'
export const DATASET = 'mnist'
export const MODEL = 'mlp'

/** The name of one network, in tags and on the screen. */
export function nameOf(units: number): string {
  return `${units}-${units}`
}
