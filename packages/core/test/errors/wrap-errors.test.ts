import { describe, expect, it } from 'vitest'
import { HubError, wrapErrors } from '../../src/index.ts'

class Sdk extends Error {
  readonly status: number
  constructor(status: number) {
    super(`status ${status}`)
    this.status = status
  }
}

/** A driver whose every way to fail fails. */
class Failing {
  readonly scheme = 'sdk'
  readonly can = { copy: true }
  readonly #error: unknown
  readonly copy = undefined

  constructor(error: unknown) {
    this.#error = error
  }

  async stat(_key: string): Promise<number> {
    throw this.#error
  }

  thrown(_key: string): Promise<number> {
    throw this.#error
  }

  async delete(_keys: readonly string[]): Promise<void> {
    throw this.#error
  }

  async *list(_prefix: string): AsyncGenerator<number> {
    yield 1
    throw this.#error
  }

  async read(_key: string): Promise<{ info: { size: number }; body: ReadableStream<Uint8Array> }> {
    const error = this.#error
    let pulls = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (pulls++ === 0) controller.enqueue(new Uint8Array(3))
        else controller.error(error)
      },
    })
    return { info: { size: 3 }, body }
  }

  native(): string {
    return 'the client'
  }

  exact(): { where: boolean } {
    return { where: true }
  }
}

const map = (error: unknown) =>
  error instanceof Sdk && error.status === 404
    ? ({ code: 'NOT_FOUND', message: 'There is no such blob.' } as const)
    : error instanceof Sdk && error.status === 503
      ? ({ code: 'THROTTLED', retryable: true, reason: 'SLOW_DOWN' } as const)
      : undefined

const drain = async (items: AsyncIterable<unknown>) => {
  const all: unknown[] = []
  for await (const item of items) all.push(item)
  return all
}

describe('wrapErrors', () => {
  it('maps rejections, throws, iterables and bodies, each with its place and cause', async () => {
    const cause = new Sdk(503)
    const driver = wrapErrors(new Failing(cause), map)
    const expected = (op: string, target: string) => ({
      code: 'THROTTLED',
      retryable: true,
      reason: 'SLOW_DOWN',
      cause,
      at: { scheme: 'sdk', op, target },
      message: `${op} on sdk failed: status 503`,
    })
    await expect(driver.stat('k')).rejects.toMatchObject(expected('stat', 'k'))
    expect(() => driver.thrown('k')).toThrow(expect.objectContaining(expected('thrown', 'k')))
    await expect(driver.delete(['a'])).rejects.toMatchObject(expected('delete', 'a'))
    await expect(driver.delete(['a', 'b'])).rejects.toMatchObject(expected('delete', '2 keys'))
    await expect(drain(driver.list('p/'))).rejects.toMatchObject(expected('list', 'p/'))
    const { info, body } = await driver.read('k')
    expect(info).toEqual({ size: 3 })
    await expect(drain(body)).rejects.toMatchObject(expected('read', 'k'))
  })

  it('takes the message of the map, passes HubErrors, and calls the unknown UNKNOWN', async () => {
    await expect(wrapErrors(new Failing(new Sdk(404)), map).stat('k')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'There is no such blob.',
      retryable: false,
    })
    const own = new HubError('EXISTS', 'there')
    await expect(wrapErrors(new Failing(own), map).stat('k')).rejects.toBe(own)
    const odd = new Sdk(418)
    await expect(wrapErrors(new Failing(odd), map).stat('k')).rejects.toMatchObject({
      code: 'UNKNOWN',
      cause: odd,
      at: { op: 'stat' },
    })
  })

  it('leaves everything else as it is', async () => {
    const driver = wrapErrors(new Failing(new Sdk(404)), map)
    expect([driver.scheme, driver.can, driver.native(), driver.exact(), driver.copy]).toEqual([
      'sdk',
      { copy: true },
      'the client',
      { where: true },
      undefined,
    ])
    const items = driver.list('p')
    expect(await items.next()).toEqual({ done: false, value: 1 })
    expect(await items.return(undefined)).toEqual({ done: true, value: undefined })
  })
})
