/** How much is trained, and what must come out. */
export interface Plan {
  /** Rows of the 60,000 training digits that are trained on; the last 10,000 are kept for validation, as in the original. */
  readonly rows: number
  readonly epochs: number
  readonly batch: number
  readonly validationRows: number
  /** Every model must reach more than this on the 10,000 test digits. */
  readonly bar: number
}

export const FULL: Plan = { rows: 50_000, epochs: 2, batch: 100, validationRows: 10_000, bar: 0.95 }
/** For a first look and for continuous integration: the same, on a fifth of the rows. */
export const QUICK: Plan = { rows: 10_000, epochs: 2, batch: 100, validationRows: 2_000, bar: 0.9 }

export const PROJECT = 'mnist-sweep'
export const TASK = 'mnist'
export const DATASET = 'mnist'
export const MODEL = 'mlp'

/** Units of the two hidden layers: the original's three. */
export const SIZES = [800, 600, 400] as const
