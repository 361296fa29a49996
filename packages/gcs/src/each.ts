/**
 * Does the work for each item, up to `parallel` at once, and as soon as one is done the next. The first failure stops the rest, and is thrown once none is under way
 * any more.
 */
export async function each<T>(
  items: Iterable<T>,
  parallel: number,
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const left = items[Symbol.iterator]()
  const stop = new AbortController()
  const either = signal ? AbortSignal.any([signal, stop.signal]) : stop.signal
  let first: { readonly error: unknown } | undefined
  const worker = async () => {
    for (let next = left.next(); !next.done && first === undefined; next = left.next()) await work(next.value, either)
  }
  await Promise.all(
    Array.from({ length: parallel }, () =>
      worker().catch((error: unknown) => {
        // The others fail because of the first; theirs tell nothing.
        first ??= { error }
        stop.abort(error)
      }),
    ),
  )
  if (first !== undefined) throw (first as { readonly error: unknown }).error
}
