import { expect, it } from 'vitest'
import { readStoreUrl, withUrlParameters } from '../../src/index.ts'

const form = {
  scheme: 's3',
  example: 's3://bucket/prefix?region=…',
  parameters: { region: 'text', timeout: 'number', probe: 'flag', secretAccessKey: 'text' },
} as const
const read = (url: string) => readStoreUrl(url, form)

it('reads bucket, prefix and parameters', () => {
  expect(read('s3://b')).toEqual({ name: 'b', parameters: {} })
  expect(read('s3://b.c-d/p%20q/r/?region=eu%2D1&timeout=500&probe=false')).toEqual({
    name: 'b.c-d',
    prefix: 'p q/r',
    parameters: { region: 'eu-1', timeout: 500, probe: false },
  })
})

it.each([
  ['s3://', 's3://bucket/prefix'],
  ['s3:b', 's3://bucket/prefix'],
  ['s3://user:word@b/p', 's3://bucket/prefix'],
  ['s3://b/p#fragment', 's3://bucket/prefix'],
  ['s3://b?reggion=x', "'reggion' is not known here; known are probe, region, secretAccessKey, timeout"],
  ['s3://b?__proto__=x', "'__proto__' is not known"],
  ['s3://b?region=', 'given once, with a value'],
  ['s3://b?region=a&region=b', 'given once, with a value'],
  ['s3://b?timeout=1.5', 'a whole number'],
  ['s3://b?probe=yes', 'true or false'],
  ['s3://b/%zz', 'not percent-encoded'],
])('%s is INVALID: %s', (url, message) => {
  expect(() => read(url)).toThrow(
    expect.objectContaining({ code: 'INVALID', message: expect.stringContaining(message) }),
  )
})

it('shows no secret', () => {
  for (const url of ['s3://user:word@b', 's3://b/%zz?secretAccessKey=word', 's3://b?secretAccessKey=word&x=word'])
    expect(() => read(url)).toThrow(expect.objectContaining({ message: expect.not.stringContaining('word') }))
})

it('adds parameters, and replaces those that are there', () => {
  expect(withUrlParameters('s3://b/p', {})).toBe('s3://b/p')
  expect(withUrlParameters('s3://b/p', { secretAccessKey: 'a+/?' })).toBe('s3://b/p?secretAccessKey=a%2B%2F%3F')
  expect(withUrlParameters('s3://b/p?region=x&probe=true', { probe: 'false' })).toBe('s3://b/p?region=x&probe=false')
})
