import { HubError, type ModelCodec } from '@tensorhub/core'
import { importOptional } from '../connect/optional-package.ts'

const TFJS = '@tensorhub/tfjs'
/** The formats the content store itself understands. */
const PLAIN = ['value', 'file']

/** The codec that takes this model: one of the hub's, or @tensorhub/tfjs when the value has TensorFlow's shape; undefined for plain values. */
export async function codecFor(codecs: readonly ModelCodec[], model: unknown): Promise<ModelCodec | undefined> {
  const own = codecs.find((codec) => codec.accepts(model))
  if (own !== undefined || !looksLikeTensorFlow(model)) return own
  return loadTfjs('Saving a TensorFlow.js model')
}

/** The codec that wrote a format; undefined for plain values. @throws UNSUPPORTED naming what is missing. */
export async function codecOfFormat(codecs: readonly ModelCodec[], format: string): Promise<ModelCodec | undefined> {
  if (PLAIN.includes(format)) return undefined
  const own = codecs.find((codec) => codec.format === format)
  if (own !== undefined) return own
  if (format.startsWith('tfjs-')) return loadTfjs('Loading a TensorFlow.js model')
  throw new HubError('UNSUPPORTED', `The model has the format '${format}', and no codec of this hub reads it; pass it: connect({ codecs: […] }).`, {
    at: { scheme: 'hub', op: 'models.load' },
    reason: 'CODEC_MISSING',
  })
}

async function loadTfjs(why: string): Promise<ModelCodec> {
  const module = (await importOptional(TFJS, why)) as { tfjs: () => ModelCodec }
  return module.tfjs()
}

/** Duck typing, because several copies of TensorFlow.js may be loaded: what every tf.LayersModel and tf.GraphModel has. */
function looksLikeTensorFlow(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const model = value as Record<string, unknown>
  const has = (name: string) => typeof model[name] === 'function'
  return has('predict') && has('save') && ((has('getWeights') && has('setWeights')) || has('executeAsync'))
}
