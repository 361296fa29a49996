import { describe, expect, it } from 'vitest'
import { abortError, asHubError, HubError, isHubError, throwIfAborted } from '../../src/index.ts'

const at = { scheme: 's3', op: 'read', target: 'k' }

describe('HubError', () => {
  it('carries what it is given, and defaults to what is safe', () => {
    const cause = new Error('socket')
    const error = new HubError('CONFLICT', 'It changed; read it again.', {
      at,
      retryable: true,
      reason: 'LEASE_LOST',
      path: 'a.b',
      cause,
      stored: ['x'],
    })
    expect(error).toMatchObject({
      code: 'CONFLICT',
      message: 'It changed; read it again.',
      at,
      retryable: true,
      reason: 'LEASE_LOST',
      path: 'a.b',
      cause,
      stored: ['x'],
      name: 'HubError',
    })
    expect(error).toBeInstanceOf(Error)
    const bare = new HubError('UNKNOWN', 'x')
    expect([bare.retryable, bare.at, bare.reason, bare.path, bare.stored, bare.suppressed]).toEqual([
      false,
      { scheme: 'core', op: 'call' },
      undefined,
      undefined,
      undefined,
      undefined,
    ])
  })

  it('shows what it has, and nothing more', () => {
    expect(Object.keys(new HubError('UNKNOWN', 'x')).sort()).toEqual(['at', 'code', 'name', 'retryable'])
    expect(Object.keys(new HubError('UNKNOWN', 'x', { path: 'a' })).sort()).toEqual([
      'at',
      'code',
      'name',
      'path',
      'retryable',
    ])
  })

  it('is known by its brand, across copies of core, and nothing else is taken for one', async () => {
    const copy = '../../src/errors/hub-error.ts?copy'
    const other = (await import(/* @vite-ignore */ copy)) as {
      HubError: typeof HubError
      isHubError: typeof isHubError
    }
    expect(other.HubError).not.toBe(HubError)
    const foreign = new other.HubError('EXISTS', 'x')
    expect(foreign instanceof HubError).toBe(false)
    expect(isHubError(foreign)).toBe(true)
    expect(isHubError(foreign, 'EXISTS')).toBe(true)
    expect(isHubError(foreign, 'CONFLICT')).toBe(false)
    expect(other.isHubError(new HubError('EXISTS', 'x'), 'EXISTS')).toBe(true)
    for (const none of [
      new Error('x'),
      { code: 'EXISTS', name: 'HubError' },
      null,
      undefined,
      'EXISTS',
      structuredClone(foreign),
    ])
      expect(isHubError(none)).toBe(false)
  })

  it('the brand is no field: it is in no copy and no print', () => {
    const error = new HubError('EXISTS', 'x')
    expect(isHubError({ ...error })).toBe(false)
    expect(JSON.stringify(error)).not.toContain('tensorhub.error')
  })

  it('of an abort is named AbortError, with the signal’s reason as cause', () => {
    const reason = new Error('enough')
    const { signal } = { signal: AbortSignal.abort(reason) }
    expect(abortError(signal, at)).toMatchObject({
      code: 'ABORTED',
      name: 'AbortError',
      cause: reason,
      at,
      retryable: false,
    })
    expect(() => throwIfAborted(signal, at)).toThrow(expect.objectContaining({ code: 'ABORTED', cause: reason }))
    expect(() => throwIfAborted(undefined)).not.toThrow()
    expect(() => throwIfAborted(new AbortController().signal)).not.toThrow()
  })
})

describe('asHubError', () => {
  it('leaves HubErrors, names aborts, and places the rest with the original as cause', () => {
    const own = new HubError('EXISTS', 'x')
    expect(asHubError(own, at)).toBe(own)
    const abort = new DOMException('aborted', 'AbortError')
    expect(asHubError(abort, at)).toMatchObject({ code: 'ABORTED', name: 'AbortError', cause: abort, at })
    const foreign = new TypeError('boom')
    expect(asHubError(foreign, at)).toMatchObject({
      code: 'UNKNOWN',
      retryable: false,
      at,
      cause: foreign,
      message: 'read on s3 failed: boom',
    })
    expect(asHubError('text', at)).toMatchObject({ code: 'UNKNOWN', cause: 'text', message: 'read on s3 failed: text' })
  })
})
