/** Loads the build in the folder given, trains one layer for a few steps, and says how that went. */
const util = require('node:util')

// tfjs-node 4.22 calls a function that Node 23 removed.
util.isNullOrUndefined ??= (value) => value === null || value === undefined
const tf = require(process.argv[2])

async function main() {
  const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })] })
  model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' })
  const [x, y] = [tf.tensor2d([1, 2, 3, 4], [4, 1]), tf.tensor2d([2, 4, 6, 8], [4, 1])]
  const { history } = await model.fit(x, y, { epochs: 5, verbose: 0 })
  const [first, last] = [history.loss[0], history.loss.at(-1)]
  if (tf.getBackend() !== 'tensorflow' || !(last < first))
    throw new Error(`backend ${tf.getBackend()}, loss ${first} then ${last}`)
  process.stdout.write(
    `it trains on Node ${process.versions.node}, loss ${first.toFixed(2)} to ${last.toFixed(2)} in 5 epochs\n`,
  )
}

main().catch((error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exitCode = 1
})
