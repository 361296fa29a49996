import { fileURLToPath } from 'node:url'
import type * as TF from '@tensorflow/tfjs'
import type { FullManifest } from '@tensorhub/content'
import { isHubError, type ModelRecord, TensorHub } from 'tensorhub'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fromTf, type LoadedTf, tfjs, toTf } from '../src/index.ts'

type Tf = typeof import('@tensorflow/tfjs')

/** The whole of the package on one backend; a file of its own for each, because all TensorFlow.js in a process share one engine. */
export function backendSuite(backend: string, load: () => Promise<LoadedTf<Tf>>): void {
  describe(`on ${backend}`, () => {
    let tf: Tf
    let hub: TensorHub

    beforeAll(async () => {
      // The hub looks @tensorhub/tfjs up from the program's folder, as it does for a user of the installed packages.
      process.chdir(fileURLToPath(new URL('..', import.meta.url)))
      const loaded = await load()
      expect(loaded.backend).toBe(backend)
      tf = loaded.tf
      hub = await TensorHub.connect('memory:', { projectName: 'tfjs-test' })
    })
    afterAll(() => hub?.close())

    function perceptron(units: number): TF.Sequential {
      return tf.sequential({
        layers: [
          tf.layers.dense({ units, activation: 'relu', inputShape: [12] }),
          tf.layers.batchNormalization(),
          tf.layers.dense({ units: 3, activation: 'softmax' }),
        ],
      })
    }

    function compiled(model: TF.Sequential): TF.Sequential {
      model.compile({ optimizer: tf.train.adam(0.01), loss: 'categoricalCrossentropy', metrics: ['accuracy'] })
      return model
    }

    /** Rows and classes that are the same in every run. */
    function rows(count: number): { x: TF.Tensor2D; y: TF.Tensor2D } {
      const x = tf.tensor2d(
        Float32Array.from({ length: count * 12 }, (_, i) => Math.sin(i * 1.7)),
        [count, 12],
      )
      const y = tf
        .oneHot(
          tf.tensor1d(
            Array.from({ length: count }, (_, i) => i % 3),
            'int32',
          ),
          3,
        )
        .toFloat() as TF.Tensor2D
      return { x, y }
    }

    async function bytesOf(weights: readonly TF.Tensor[]): Promise<Buffer[]> {
      const data = await Promise.all(weights.map((weight) => weight.data()))
      return data.map(({ buffer, byteOffset, byteLength }) =>
        Buffer.from(buffer.slice(byteOffset, byteOffset + byteLength)),
      )
    }

    it('gives a live model with bit-equal weights, its predictions and its record', async () => {
      const model = compiled(perceptron(16))
      const { x, y } = rows(24)
      await model.fit(x, y, { epochs: 2, verbose: 0, shuffle: false })
      // Values that arithmetic or text would lose.
      const odd = Float32Array.from(
        { length: 16 },
        (_, i) => [-0, Number.POSITIVE_INFINITY, 1e-45, 0.1][i % 4] as number,
      )
      const weights = model.getWeights()
      model.setWeights([weights[0] as TF.Tensor, tf.tensor1d(odd), ...weights.slice(2)])
      await hub.saveModel(model, { modelName: 'mlp', accuracy: 0.8, name: 'odd' })

      const found = (await hub.findTopModel({ accuracy: 0.8 })) as TF.LayersModel & {
        _accuracy: number
        info: { name: string }
      }
      expect(await bytesOf(found.getWeights())).toEqual(await bytesOf(model.getWeights()))
      expect(found._accuracy).toBe(0.8)
      expect(found.info.name).toBe('odd')

      const plain = perceptron(16)
      await hub.saveModel(plain, 'plain')
      const again = (await hub.findTopModel('plain')) as TF.LayersModel
      const [ours, theirs] = [plain.predict(x) as TF.Tensor, again.predict(x) as TF.Tensor]
      expect(await bytesOf([theirs])).toEqual(await bytesOf([ours]))
    })

    it('gives any architecture: several inputs and outputs, a shared layer, convolution, recurrence, embedding', async () => {
      const [image, words] = [tf.input({ shape: [8, 8, 1] }), tf.input({ shape: [5], dtype: 'int32' })]
      const shared = tf.layers.dense({ units: 4, activation: 'relu', name: 'shared' })
      const seen = tf.layers.conv2d({ filters: 2, kernelSize: 3, activation: 'relu' }).apply(image)
      const left = shared.apply(tf.layers.reshape({ targetShape: [18, 4] }).apply(seen)) as TF.SymbolicTensor
      const read = tf.layers.embedding({ inputDim: 11, outputDim: 4 }).apply(words)
      const right = tf.layers.lstm({ units: 3 }).apply(shared.apply(read)) as TF.SymbolicTensor
      const joined = tf.layers.concatenate().apply([tf.layers.flatten().apply(left) as TF.SymbolicTensor, right])
      const outputs = [tf.layers.dense({ units: 2, name: 'one' }).apply(joined), right] as TF.SymbolicTensor[]
      const model = tf.model({ inputs: [image, words], outputs })
      model.setUserDefinedMetadata({ labels: ['a', 'b'] })
      await hub.saveModel(model, 'functional')
      const found = (await hub.findTopModel('functional')) as TF.LayersModel
      expect(await bytesOf(found.getWeights())).toEqual(await bytesOf(model.getWeights()))
      expect(found.layers.map((layer) => layer.name)).toEqual(model.layers.map((layer) => layer.name))
      expect(found.getUserDefinedMetadata()).toEqual({ labels: ['a', 'b'] })
      const x = [
        tf.linspace(-1, 1, 128).reshape([2, 8, 8, 1]),
        tf.tensor2d([1, 2, 3, 4, 5, 10, 9, 8, 7, 0], [2, 5], 'int32'),
      ]
      expect(await bytesOf(found.predict(x) as TF.Tensor[])).toEqual(await bytesOf(model.predict(x) as TF.Tensor[]))
    })

    it('says what to do about a layer of the user that is not registered', async () => {
      class Twice extends tf.layers.Layer {
        static readonly className = 'Twice'
        override call(inputs: TF.Tensor | TF.Tensor[]): TF.Tensor {
          return tf.mul(Array.isArray(inputs) ? (inputs[0] as TF.Tensor) : inputs, 2)
        }
      }
      const model = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [2] }), new Twice({})] })
      await hub.saveModel(model, 'own-layer')
      await expect(hub.findTopModel('own-layer')).rejects.toThrow(
        expect.objectContaining({
          code: 'UNSUPPORTED',
          message: expect.stringMatching(/Unknown layer: Twice.*registerClass/s) as string,
        }),
      )
      tf.serialization.registerClass(Twice)
      const found = (await hub.findTopModel('own-layer')) as TF.LayersModel
      const x = tf.tensor2d([[1, 2]])
      expect(await bytesOf([found.predict(x) as TF.Tensor])).toEqual(await bytesOf([model.predict(x) as TF.Tensor]))
    })

    it('leaves no tensors behind', async () => {
      const { x, y } = rows(6)
      // Not compiled: TensorFlow.js itself forgets the counter of steps whenever it writes down Adam's state.
      const plain = perceptron(4)
      plain.predict(x)
      const before = tf.memory().numTensors
      await hub.saveModel(plain, 'tidy')
      await fromTf({ x, y })
      await hub.saveDataset({ x, y }, 'tidy')
      expect(tf.memory().numTensors).toBe(before)
      const found = (await hub.findTopModel('tidy')) as TF.LayersModel
      found.dispose()
      expect(tf.memory().numTensors).toBe(before)
    })

    it('restores compile and optimizer state, so that training goes on where it was', async () => {
      const model = compiled(perceptron(8))
      const { x, y } = rows(24)
      const train = (some: TF.LayersModel) => some.fit(x, y, { epochs: 2, batchSize: 8, verbose: 0, shuffle: false })
      await train(model)
      await hub.saveModel(model, 'trained')
      const found = (await hub.findTopModel('trained')) as TF.LayersModel
      await train(model)
      await train(found)
      expect(await bytesOf(found.getWeights())).toEqual(await bytesOf(model.getWeights()))
    })

    it('saves without compile state when told so, and when the loss is a function', async () => {
      const codec = tfjs({ tf, optimizer: false })
      const named = compiled(perceptron(4))
      expect(await codec.save(named)).not.toHaveProperty('trainingConfig')
      // Given to connect, as a user does.
      const without = await TensorHub.connect('memory:', { projectName: 'tfjs-test', codecs: [codec] })
      await without.saveModel(named, 'named')
      expect(((await without.findTopModel('named')) as TF.LayersModel).optimizer).toBeUndefined()
      await without.close()
      const own = perceptron(4)
      own.compile({
        optimizer: 'sgd',
        loss: (truth: TF.Tensor, said: TF.Tensor) => tf.losses.meanSquaredError(truth, said) as TF.Scalar,
      })
      await hub.saveModel(own, 'own-loss')
      const found = (await hub.findTopModel('own-loss')) as TF.LayersModel
      expect(found.optimizer).toBeUndefined()
      expect(await bytesOf(found.getWeights())).toEqual(await bytesOf(own.getWeights()))
    })

    it('stores only the weights that changed', async () => {
      const model = tf.sequential({
        layers: [
          tf.layers.dense({ units: 400, inputShape: [784], trainable: false, name: 'frozen' }),
          tf.layers.dense({ units: 10, name: 'head' }),
        ],
      })
      const first = await hub.models.save('frozen', model, { epoch: 1 })
      const head = model.getLayer('head')
      head.setWeights(head.getWeights().map((weight) => weight.add(1)))
      const second = await hub.models.save('frozen', model, { epoch: 2 })
      const chunks = (record: ModelRecord) => (record.content as FullManifest).chunks
      const before = new Set(chunks(first).map((chunk) => chunk.key))
      const added = chunks(second).filter((chunk) => !before.has(chunk.key))
      const bytes = added.reduce((total, chunk) => total + chunk.size, 0)
      expect(first.content.bytes).toBeGreaterThan(1_250_000)
      expect(bytes).toBeLessThan(20_000)
    })

    it('saves and loads by query as a tf.io.IOHandler', async () => {
      const model = compiled(perceptron(6))
      const { x, y } = rows(6)
      await model.fit(x, y, { epochs: 1, verbose: 0 })
      const result = await model.save(hub.io({ modelName: 'by-io', accuracy: 0.5 }), { includeOptimizer: true })
      expect(result.modelArtifactsInfo.modelTopologyType).toBe('JSON')
      await perceptron(6).save(hub.io({ modelName: 'by-io', accuracy: 0.4 }))

      const loaded = await tf.loadLayersModel(hub.io({ modelName: 'by-io', sort: { accuracy: -1 } }))
      expect(await bytesOf(loaded.getWeights())).toEqual(await bytesOf(model.getWeights()))
      expect(loaded.optimizer).toBeDefined()
      const byText = await tf.loadLayersModel(hub.io('by-io accuracy>=0.45'))
      expect(await bytesOf(byText.getWeights())).toEqual(await bytesOf(model.getWeights()))
      const live = (await hub.findTopModel('by-io', { accuracy: 0.5 })) as TF.LayersModel
      expect(await bytesOf(live.getWeights())).toEqual(await bytesOf(model.getWeights()))

      await hub.saveModel({ architecture: 'none', weights: [] }, 'not-tf')
      const refused = async (run: Promise<unknown>) =>
        run.then(
          () => 'accepted',
          (error) => (isHubError(error) ? error.code : String(error)),
        )
      expect(await refused(tf.loadLayersModel(hub.io('no-such-model')))).toBe('NOT_FOUND')
      expect(await refused(tf.loadLayersModel(hub.io('not-tf')))).toBe('INVALID')
      expect(await refused(model.save(hub.io('mlp accuracy>0.5')))).toBe('INVALID')
      expect(await refused(model.save(hub.io({ accuracy: 0.5 })))).toBe('INVALID')
      expect(await refused(model.save(hub.io({ modelName: 'by-io', sort: { time: -1 } })))).toBe('INVALID')
    })

    it('keeps graph models, quantised weights included', async () => {
      const model = await tf.loadGraphModel(tf.io.fromMemory(doubler()))
      const x = tf.tensor2d([1, 2], [1, 2])
      const expected = await (model.predict(x) as TF.Tensor).data()
      await hub.saveModel(model, 'graph')
      const found = (await hub.findTopModel('graph')) as TF.GraphModel
      expect(await (found.predict(x) as TF.Tensor).data()).toEqual(expected)
    })

    it('puts tensors into datasets and takes them out', async () => {
      const value = {
        x: tf.tensor2d([0.1, -0, 3, 4], [2, 2]),
        labels: [tf.tensor1d([1, -2], 'int32'), tf.tensor1d([true, false], 'bool')],
        scalar: tf.scalar(7),
        description: 'kept as it is',
      }
      await hub.saveDataset(await fromTf(value), 'tensors')
      const plain = await hub.findTopDataset('tensors')
      expect(plain).toEqual({
        x: { dtype: 'float32', shape: [2, 2], data: Float32Array.of(0.1, -0, 3, 4) },
        labels: [
          { dtype: 'int32', shape: [2], data: Int32Array.of(1, -2) },
          { dtype: 'bool', shape: [2], data: Uint8Array.of(1, 0) },
        ],
        scalar: { dtype: 'float32', shape: [], data: Float32Array.of(7) },
        description: 'kept as it is',
      })
      // Also without fromTf.
      await hub.saveDataset(value, 'live-tensors')
      expect(await hub.findTopDataset('live-tensors')).toEqual(plain)
      const back = toTf(tf, plain) as typeof value
      expect(await bytesOf([back.x, ...back.labels, back.scalar])).toEqual(
        await bytesOf([value.x, ...value.labels, value.scalar]),
      )
      const pixels = toTf(tf, { dtype: 'uint8', shape: [3], data: Uint8Array.of(0, 128, 255) }) as TF.Tensor
      expect([pixels.dtype, [...(await pixels.data())]]).toEqual(['int32', [0, 128, 255]])
    })

    it('keeps architecture and weights apart, as plain values, where a live model is not wanted', async () => {
      const model = perceptron(5)
      const architecture = model.toJSON(null, false) as object
      await hub.saveModel({ architecture, weights: model.getWeights() }, 'apart')
      const found = (await hub.findTopModel('apart')) as { architecture: object; weights: unknown }
      expect(found.architecture).toEqual(architecture)
      const rebuilt = perceptron(5)
      rebuilt.setWeights(toTf(tf, found.weights) as TF.Tensor[])
      expect(await bytesOf(rebuilt.getWeights())).toEqual(await bytesOf(model.getWeights()))
    })

    it('refuses tensors that would be changed, naming them', async () => {
      await expect(fromTf({ words: tf.tensor1d(['a']) })).rejects.toThrow(/value\.words is a tensor of string/)
      // By shape: the wasm backend has no complex kernels.
      const complex = { dtype: 'complex64', shape: [], data: async () => null, dataSync: () => null, dispose: () => {} }
      await expect(fromTf([complex])).rejects.toThrow(/value\[0\] is a tensor of complex64/)
      await expect(hub.saveDataset({ words: tf.tensor1d(['a']) }, 'words')).rejects.toThrow(/array\(\).*'words'/)
      const gone = tf.scalar(1)
      gone.dispose()
      await expect(hub.saveDataset([gone], 'gone')).rejects.toThrow(/disposed.*'0'/)
      expect(() => toTf(tf, { x: { dtype: 'float64', shape: [1], data: Float64Array.of(1) } })).toThrow(
        /value\.x is a tensor of float64/,
      )
    })

    /** y = 2x as a graph model: one MatMul with a matrix quantised to uint8. */
    function doubler(): TF.io.ModelArtifacts {
      const shape = (...sizes: number[]) => ({ shape: { dim: sizes.map((size) => ({ size: String(size) })) } })
      const float = { dtype: { type: 'DT_FLOAT' } }
      return {
        format: 'graph-model',
        modelTopology: {
          node: [
            { name: 'x', op: 'Placeholder', attr: { ...float, shape: shape(-1, 2) } },
            {
              name: 'w',
              op: 'Const',
              attr: { ...float, value: { tensor: { dtype: 'DT_FLOAT', tensorShape: shape(2, 2).shape } } },
            },
            {
              name: 'y',
              op: 'MatMul',
              input: ['x', 'w'],
              attr: { T: { type: 'DT_FLOAT' }, transpose_a: { b: false }, transpose_b: { b: false } },
            },
          ],
          versions: {},
        },
        weightSpecs: [
          { name: 'w', shape: [2, 2], dtype: 'float32', quantization: { dtype: 'uint8', scale: 0.5, min: 0 } },
        ],
        weightData: Uint8Array.of(4, 0, 0, 4).buffer,
      }
    }
  })
}
