import { TensorHub } from 'tensorhub'
import { expect, it } from 'vitest'

it('keeps models of other kinds without any codec', async () => {
  await using hub = await TensorHub.connect('memory:', { projectName: 'plain-models' })

  const plain = { architecture: { layers: [784, 10] }, weights: [Float32Array.of(0.5, -0), Float32Array.of(1)] }
  await hub.saveModel(plain, 'plain', { accuracy: 0.7 })
  expect(await hub.findTopModel('plain')).toMatchObject(plain)

  // ONNX, safetensors, GGUF: bytes are bytes.
  const onnx = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 31) % 251)
  await hub.saveModel(onnx, 'onnx', { format: 'onnx' })
  expect(await hub.findTopModel('onnx')).toEqual(onnx)
  await hub.saveModel(new Blob([onnx]), 'onnx-file', { format: 'onnx' })
  const handle = await hub.models.open({ model_name: 'onnx-file' })
  expect(Buffer.from(await new Response(handle?.stream()).arrayBuffer()).equals(onnx)).toBe(true)
})
