import { type BlobDriver, redactUrl } from '@tensorhub/core'
import { azure } from './driver.ts'
import { type AzureConnectionOptions, invalid } from './options.ts'

const TEXTS = ['account', 'endpoint', 'key', 'sasToken']
const NUMBERS = ['timeout', 'partSize', 'parallel']
const KNOWN = [...TEXTS, ...NUMBERS, 'probe']

/** `azblob://container/prefix?account=…`; further parameters `endpoint key sasToken timeout partSize parallel probe`. @throws INVALID */
export function blobsFromUrl(url: string): BlobDriver {
  const [, container = '', prefix = '', query = ''] = /^azblob:\/\/([^/?#]+)\/?([^?#]*)(?:\?([^#]*))?$/i.exec(url) ?? []
  if (container === '' || container.includes('@'))
    throw invalid(`'${redactUrl(url)}' is no URL of a container: azblob://container/prefix?account=…`, 'url')
  const options: Record<string, string | number | boolean> = { container, prefix: decode(prefix, url) }
  for (const [name, value] of new URLSearchParams(query)) {
    if (!KNOWN.includes(name))
      throw invalid(`azblob: URLs have no parameter '${name}'; they know ${KNOWN.join(', ')}.`, name)
    if (NUMBERS.includes(name)) options[name] = value === '' ? Number.NaN : Number(value)
    else if (name === 'probe') {
      if (value !== 'true' && value !== 'false') throw invalid('probe must be true or false.', 'probe')
      options['probe'] = value === 'true'
    }
    // A key is base64: a + in it that was not escaped has become a space.
    else options[name] = name === 'key' ? value.replaceAll(' ', '+') : value
  }
  return azure(options as unknown as AzureConnectionOptions)
}

function decode(text: string, url: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalid(`The prefix of '${redactUrl(url)}' is not escaped as URLs are.`, 'url')
  }
}
