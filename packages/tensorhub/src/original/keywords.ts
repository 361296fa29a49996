import { type Call, HubError, type OpenFilter, type Progress, type SortInput } from '@tensorhub/core'
import { setOwn } from '../documents/own-field.ts'
import type { ContentRecord } from '../documents/record.ts'
import type { TransferOptions } from '../namespaces/content-namespace.ts'

/**
 * The trailing object of the original API's methods: its keyword arguments. The original's own parameters are in camelCase; everything else is a
 * tag on save, and a filter on find, delete and wait (design §7).
 */
export type Keywords = Readonly<Record<string, unknown>>

/** Keyword arguments of saves: everything beside the options is a tag. */
export type SaveKeywords = Keywords & TransferOptions
/** Keyword arguments of finds: everything beside the options is a filter. */
export type FindKeywords = Keywords & TransferOptions & { readonly sort?: SortInput }
/** Keyword arguments of deletes and waits: everything beside the options is a filter. */
export type FilterKeywords = Keywords & Call
/** The option that names a dataset, model or task instead of the leading argument; null means any. */
type Named<Name extends string> = { readonly [name in Name]?: string | null }

/** `(name?, keywords?)`, or the name among the keywords: `(keywords?)`. A null name means any. */
export type NamedArguments<K, Name extends string> =
  | [name: string | null | undefined, keywords?: K]
  | [keywords?: K & Named<Name>]

/** How one method reads its arguments. */
interface Shape {
  readonly op: string
  /** The camelCase name of the leading name parameter, e.g. `datasetName`; undefined where there is none. */
  readonly name: string | undefined
  /** Options of this method beside the name; taken out of the keywords. */
  readonly options: readonly string[]
  /**
   * It deletes, and without arguments all there is: then what is given and undefined (a field that a configuration lacks) is refused rather than taken for
   * nothing given.
   */
  readonly deletes?: true
}

export interface Parsed {
  /** undefined = not given; null = any. */
  readonly name: string | null | undefined
  readonly tags: Readonly<Record<string, unknown>>
  readonly options: Readonly<Record<string, unknown>>
}

/**
 * Reads `(name?, keywords?)`, where the name may stand in the keywords instead.
 *
 * @throws INVALID for arguments of another form, or a name given twice.
 */
export function readArguments(shape: Shape, args: readonly unknown[]): Parsed {
  const at = { scheme: 'hub', op: shape.op }
  if (args.length > 2)
    throw new HubError(
      'INVALID',
      `${shape.op} takes a name and an object of keyword arguments; ${args.length} arguments are too many.`,
      { at },
    )
  const [first, second] = args
  const unknownName = (path: string) =>
    new HubError(
      'INVALID',
      `${shape.op}: ${path} is undefined; give a name or filter, or no argument at all to delete all.`,
      {
        at,
        path,
      },
    )
  if (shape.deletes && args.length > 0 && first === undefined && second === undefined)
    throw unknownName(shape.name ?? 'filter')
  const firstIsKeywords = typeof first === 'object' && first !== null
  if (firstIsKeywords && second !== undefined) {
    throw new HubError('INVALID', `${shape.op}: an object of keyword arguments comes last.`, { at })
  }
  const keywords = firstIsKeywords ? first : second
  if (
    keywords !== undefined &&
    keywords !== null &&
    (typeof keywords !== 'object' || Array.isArray(keywords) || keywords instanceof Date)
  ) {
    throw new HubError('INVALID', `${shape.op}: keyword arguments must be a plain object.`, { at })
  }
  const positional = firstIsKeywords ? undefined : first
  if (shape.name === undefined && positional !== undefined && positional !== null)
    throw new HubError(
      'INVALID',
      `${shape.op} takes an object of keyword arguments, not ${typeof positional === 'string' ? 'a name' : `a ${typeof positional}`}.`,
      { at },
    )
  const tags: Record<string, unknown> = {}
  const options: Record<string, unknown> = {}
  let name = positional
  const given = (keywords ?? {}) as Readonly<Record<string, unknown>>
  for (const key of Object.keys(given)) {
    const value = given[key]
    if (key === shape.name) {
      if (positional !== undefined)
        throw new HubError('INVALID', `${shape.op}: '${shape.name}' is given twice.`, { at, path: key })
      if (shape.deletes && value === undefined) throw unknownName(key)
      name = value
    } else if (shape.options.includes(key)) {
      options[key] = value
    } else {
      setOwn(tags, key, value)
    }
  }
  if (name !== undefined && name !== null && (typeof name !== 'string' || name === '')) {
    throw new HubError('INVALID', `${shape.op}: '${shape.name}' must be a non-empty string.`, {
      at,
      path: shape.name ?? 'name',
    })
  }
  return { name, tags, options }
}

/** The transfer options among the parsed ones. */
export function transferOf(options: Readonly<Record<string, unknown>>): TransferOptions {
  return {
    ...(options['signal'] === undefined ? {} : { signal: options['signal'] as AbortSignal }),
    ...(options['onProgress'] === undefined
      ? {}
      : { onProgress: options['onProgress'] as NonNullable<TransferOptions['onProgress']> }),
  }
}

/** Signal and sort among the parsed ones. */
export function sortOf(options: Readonly<Record<string, unknown>>): Call & { sort?: SortInput } {
  return {
    ...(options['signal'] === undefined ? {} : { signal: options['signal'] as AbortSignal }),
    ...(options['sort'] === undefined ? {} : { sort: options['sort'] as SortInput }),
  }
}

/** A filter of the namespaces, which check it, from keyword filters and a name; null or no name = every name. */
export function filterOf(
  field: string,
  name: string | null | undefined,
  tags: Readonly<Record<string, unknown>>,
): OpenFilter<unknown> {
  const filter = { ...tags } as OpenFilter<unknown>
  return name === undefined || name === null ? filter : { $and: [{ [field]: name }, filter] }
}

/** The same for a delete; without name and filter it means all of the kind in the project, as the original documents. */
export function deletionOf(
  field: string,
  name: string | null | undefined,
  tags: Readonly<Record<string, unknown>>,
): OpenFilter<unknown> {
  const filter = filterOf(field, name, tags)
  return Object.keys(filter).length === 0 ? { _id: { $exists: true } } : filter
}

/** One progress over the loads of several records: its bytes only rise, and its total is theirs together. */
export function risingProgress(
  tell: ((progress: Progress) => void) | undefined,
  records: readonly ContentRecord[],
): { next(): { onProgress?: (progress: Progress) => void } } {
  if (tell === undefined) return { next: () => ({}) }
  const total = records.reduce((sum, record) => sum + record.content.bytes, 0)
  let before = 0
  let last = 0
  return {
    next() {
      before = last
      return {
        onProgress: (progress) => {
          last = Math.max(last, Math.min(total, before + progress.bytes))
          tell({ phase: 'load', bytes: last, total })
        },
      }
    },
  }
}
