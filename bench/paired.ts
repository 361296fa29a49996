/** One row of the table: a figure as a ratio against a baseline measured in the same run. */
export interface Row {
  /** Short name; `npm run bench -- --only NAME` selects it. */
  readonly name: string
  /** The package whose README shows the row too. */
  readonly package?: string
  /** What is done, as the table prints it. */
  readonly path: string
  readonly baseline: string
  /** The bar in words, e.g. `≥ 0.9×`. */
  readonly bar: string
  run(o: BenchOptions): Promise<Result>
}

export interface BenchOptions {
  /** A folder on the file system to measure, empty. */
  readonly folder: string
  /** Fewer and smaller rounds, to see that everything runs; the figures are then no claim. */
  readonly quick: boolean
}

export interface Result {
  /** The figure to hold against the bar. */
  readonly figure: string
  readonly held: boolean
  /** What stands behind the ratio, in units. */
  readonly detail: string
}

/**
 * Runs two things in turn, `warmUps` rounds of each first (more for what a long-lived process does all day, so that the figure is not that of the
 * engine's compiler), and gives the medians in ms and the median of the pairwise ratios baseline / ours.
 */
export async function paired(
  rounds: number,
  ours: (round: number) => Promise<number>,
  baseline: (round: number) => Promise<number>,
  warmUps = 1,
): Promise<Paired> {
  for (let i = 0; i < warmUps; i++) {
    await ours(-1)
    await baseline(-1)
  }
  const a: number[] = []
  const b: number[] = []
  for (let round = 0; round < rounds; round++) {
    // Who goes first alternates, so that neither always finds the caches as the other left them.
    if (round % 2 === 0) {
      a.push(await ours(round))
      b.push(await baseline(round))
    } else {
      b.push(await baseline(round))
      a.push(await ours(round))
    }
  }
  return { ours: median(a), baseline: median(b), ratio: median(a.map((ms, i) => (b[i] as number) / ms)) }
}

export interface Paired {
  readonly ours: number
  readonly baseline: number
  /** Speed of ours relative to the baseline: above 1 is faster. */
  readonly ratio: number
}

/** The wall time of one call in ms. */
export async function timed(run: () => Promise<unknown> | unknown): Promise<number> {
  const start = performance.now()
  await run()
  return performance.now() - start
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((x, y) => x - y)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

/** A result whose bar is a least speed ratio. */
export function speedResult(measured: Paired, least: number, detail: string): Result {
  return { figure: `${measured.ratio.toFixed(2)}×`, held: measured.ratio >= least, detail }
}
