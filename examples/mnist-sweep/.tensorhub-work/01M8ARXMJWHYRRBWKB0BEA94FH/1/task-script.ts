/**
 * The task: trains one multi-layer perceptron on MNIST. Its source travels through the hub; a runner unpacks it and calls the default export
 * in a fresh process. What it needs of the world is in `task`: hyper-parameters in, a hub for data, models and logs, results out.
 */
import { loadTf } from '@tensorhub/tfjs'
import type { Task } from 'tensorhub/task'
import type { ByteTensor, Mnist } from './mnist.ts'

interface HyperParameters {
  readonly n_units1: number
  readonly n_units2: number
  readonly rows: number
  readonly validationRows: number
  readonly epochs: number
  readonly batch: number
}

/** Results by the names of the task's savedResultKeys. */
export default async function train(task: Task): Promise<{ test_accuracy: number; test_loss: number }> {
  const { n_units1, n_units2, rows, validationRows, epochs, batch } = task.hyperParameters as unknown as HyperParameters
  const name = `${n_units1}-${n_units2}`
  const { tf } = await loadTf<typeof import('@tensorflow/tfjs')>()

  const mnist = (await task.hub.findTopDataset('mnist')) as Mnist | false
  if (mnist === false) throw new Error("The hub has no dataset 'mnist'; save it before the tasks are made.")
  const { train, test } = mnist
  const pixels = ({ data, shape }: ByteTensor, from: number, to: number) => {
    const row = shape.slice(1).reduce((total, length) => total * length, 1)
    return tf.tensor2d(
      Float32Array.from(data.subarray(from * row, to * row), (grey) => grey / 255),
      [to - from, row],
    )
  }
  const digits = ({ data }: ByteTensor, from: number, to: number) =>
    tf.tensor1d(Float32Array.from(data.subarray(from, to)))
  const all = train.labels.data.length
  const [x, y] = [pixels(train.images, 0, rows), digits(train.labels, 0, rows)]
  const [xValidation, yValidation] = [
    pixels(train.images, all - validationRows, all),
    digits(train.labels, all - validationRows, all),
  ]
  const [xTest, yTest] = [
    pixels(test.images, 0, test.labels.data.length),
    digits(test.labels, 0, test.labels.data.length),
  ]

  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: n_units1, activation: 'relu', inputShape: [x.shape[1]] }),
      tf.layers.dense({ units: n_units2, activation: 'relu' }),
      tf.layers.dense({ units: 10, activation: 'softmax' }),
    ],
  })
  model.compile({ optimizer: 'adam', loss: 'sparseCategoricalCrossentropy', metrics: ['accuracy'] })

  const measure = async (data: typeof x, labels: typeof y) => {
    const [loss, accuracy] = model.evaluate(data, labels, { batchSize: 1000 }) as ReturnType<typeof tf.scalar>[]
    const read = async (scalar = tf.scalar(Number.NaN)) => (await scalar.data())[0] ?? Number.NaN
    const figures = { loss: await read(loss), accuracy: await read(accuracy) }
    tf.dispose([loss, accuracy])
    return figures
  }

  const batches = Math.ceil(rows / batch)
  let result = { test_accuracy: 0, test_loss: 0 }
  let reached: { accuracy?: number } = {}
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const history = await model.fit(x, y, {
      batchSize: batch,
      epochs: 1,
      verbose: 0,
      callbacks: {
        onBatchEnd: async (done, logs) => {
          task.signal.throwIfAborted()
          if (done % 10 === 0)
            task.progress({ epoch, epochs, part: (done + 1) / batches, loss: logs?.loss ?? Number.NaN, ...reached })
        },
      },
    })
    const [loss, accuracy] = [Number(history.history.loss?.[0]), Number(history.history.acc?.[0])]
    const validation = await measure(xValidation, yValidation)
    const testing = await measure(xTest, yTest)
    result = { test_accuracy: testing.accuracy, test_loss: testing.loss }
    await task.hub.saveTrainingLog({ name, epoch, loss, accuracy })
    await task.hub.saveValidationLog({ name, epoch, loss: validation.loss, accuracy: validation.accuracy })
    await task.hub.saveTestingLog({ name, epoch, loss: testing.loss, accuracy: testing.accuracy })
    await task.hub.saveModel(model, {
      modelName: 'mlp',
      name,
      epoch,
      loss,
      accuracy,
      validation_accuracy: validation.accuracy,
      test_accuracy: testing.accuracy,
    })
    reached = { accuracy: testing.accuracy }
    task.progress({ epoch, epochs, part: 1, loss, ...reached })
  }
  return result
}
