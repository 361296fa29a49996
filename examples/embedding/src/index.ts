import { HubError, type ModelRecord, type TensorHub } from 'tensorhub'

/** Parameters of a model, by name. */
export type Weights = Readonly<Record<string, Float32Array>>

export interface RegistryOptions {
  /** The caller's hub, on whatever stores. It stays the caller's: the registry never closes it. */
  readonly hub: TensorHub
  /** The tag by which a version is the better one. Default `'accuracy'`. */
  readonly metric?: string
}

/**
 * A library that keeps versions of models in its caller's hub: it is given the hub, and knows neither URLs nor drivers nor credentials. What it stores is
 * plain records with tags of its own, which its caller can find, copy and delete like any others.
 */
export class ModelRegistry {
  readonly #hub: TensorHub
  readonly #metric: string

  constructor({ hub, metric = 'accuracy' }: RegistryOptions) {
    this.#hub = hub
    this.#metric = metric
  }

  /** Saves a version. @param score Its value of the metric. */
  async publish(name: string, weights: Weights, score: number): Promise<ModelRecord> {
    return this.#hub.models.save(name, weights, { [this.#metric]: score, stage: 'candidate' })
  }

  /**
   * Makes the best version that of production. The one before it is kept, as `retired`.
   *
   * @throws NOT_FOUND when there is none.
   */
  async promoteBest(name: string): Promise<ModelRecord> {
    const best = await this.#hub.models.top({ model_name: name }, { sort: { [this.#metric]: -1 } })
    if (best === undefined)
      throw new HubError('NOT_FOUND', `There is no version of '${name}' yet; publish one.`, {
        at: { scheme: 'registry', op: 'promoteBest', target: name },
      })
    if (best['stage'] === 'production') return best
    // First the new one: at no moment is there none.
    await this.#hub.models.update({ _id: best._id }, { set: { stage: 'production' } })
    await this.#hub.models.update(
      { model_name: name, stage: 'production', _id: { $ne: best._id } },
      { set: { stage: 'retired' } },
    )
    return { ...best, stage: 'production' }
  }

  /** The weights in production, or undefined. Between two promotions the newer one of two wins. */
  async production(name: string): Promise<Weights | undefined> {
    const handle = await this.#hub.models.open<Weights>(
      { model_name: name, stage: 'production' },
      { sort: { [this.#metric]: -1 } },
    )
    return handle?.load()
  }
}
