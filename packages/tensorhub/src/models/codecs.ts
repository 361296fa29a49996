import { HubError, type ModelCodec } from '@tensorhub/core'
import { importOptional } from '../connect/optional-package.ts'

const TFJS = '@tensorhub/tfjs'
/** A value may bring its own codec under this key (a model taken apart by a tf.io.IOHandler does). */
const OWN_CODEC = Symbol.for('tensorhub.codec')
/** The formats the content store itself understands. */
const PLAIN = ['value', 'file']

/** The codec that takes this model: one of the hub's, or @tensorhub/tfjs when the value has TensorFlow's shape; undefined for plain values. */
export async function codecFor(codecs: readonly ModelCodec[], model: unknown): Promise<ModelCodec | undefined> {
  const brought =
    typeof model === 'object' && model !== null ? (model as { [OWN_CODEC]?: ModelCodec })[OWN_CODEC] : undefined
  const own = brought ?? codecs.find((codec) => codec.accepts(model))
  if (own !== undefined || !looksLikeTensorFlow(model)) return own
  return (await loadTfjs('Saving a TensorFlow.js model')).find((codec) => codec.accepts(model))
}

/** The codec that wrote a format; undefined for plain values. @throws UNSUPPORTED naming what is missing. */
export async function codecOfFormat(codecs: readonly ModelCodec[], format: string): Promise<ModelCodec | undefined> {
  if (PLAIN.includes(format)) return undefined
  const own = codecs.find((codec) => codec.format === format)
  if (own !== undefined) return own
  const tfjs = format.startsWith('tfjs-')
    ? (await loadTfjs('Loading a TensorFlow.js model')).find((codec) => codec.format === format)
    : undefined
  if (tfjs !== undefined) return tfjs
  throw new HubError(
    'UNSUPPORTED',
    `The model has the format '${format}', and no codec of this hub reads it; pass it: connect({ codecs: […] }).`,
    {
      at: { scheme: 'hub', op: 'models.load' },
      reason: 'CODEC_MISSING',
    },
  )
}

async function loadTfjs(why: string): Promise<readonly ModelCodec[]> {
  const module = (await importOptional(TFJS, why)) as { codecs: () => readonly ModelCodec[] }
  return module.codecs()
}

/** Duck typing, because several copies of TensorFlow.js may be loaded: what every tf.LayersModel and tf.GraphModel has. */
function looksLikeTensorFlow(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const model = value as Record<string, unknown>
  const has = (name: string) => typeof model[name] === 'function'
  return has('predict') && has('save') && ((has('getWeights') && has('setWeights')) || has('executeAsync'))
}
