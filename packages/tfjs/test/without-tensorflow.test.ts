import { openAsBlob } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodeSafetensors } from '@tensorhub/content'
import { TensorHub } from 'tensorhub'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** Bytes that begin as a file of this kind does; to the hub all are opaque. */
function fileOf(start: readonly number[] | string, length: number): Uint8Array {
  const bytes = Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8)) % 251)
  bytes.set(typeof start === 'string' ? Buffer.from(start, 'latin1') : start)
  return bytes
}

describe('models without TensorFlow need no codec', () => {
  let hub: TensorHub
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'tensorhub-models-'))
    hub = await TensorHub.connect(join(folder, 'hub'), { projectName: 'plain-models' })
  })
  afterAll(async () => {
    await hub?.close()
    await rm(folder, { recursive: true, force: true })
  })

  it('{ architecture, weights }', async () => {
    const plain = {
      architecture: { layers: [784, 10], activation: 'relu' },
      weights: [
        Float32Array.of(0.5, -0, Number.NaN),
        { dtype: 'float16', shape: [2, 1], data: Uint16Array.of(15360, 1) },
      ],
    }
    await hub.saveModel(plain, 'plain', { accuracy: 0.7 })
    const found = await hub.findTopModel('plain')
    expect(found).toEqual(plain)
    expect(found).toMatchObject({ _accuracy: 0.7, info: { accuracy: 0.7 } })
    // What a found model carries of its record is not saved with it again.
    const again = await hub.saveModel(found, 'plain', { accuracy: 0.8 })
    expect(await hub.findTopModel('plain', { accuracy: 0.8 })).toEqual(plain)
    expect(again.content.bytes).toBe((await hub.models.top({ accuracy: 0.7 }))?.content.bytes)
  })

  it.each<[string, Uint8Array]>([
    ['onnx', fileOf([8, 7, 18, 7], 100_000)],
    ['gguf', fileOf('GGUF\x03\0\0\0', 20 * 1024 * 1024 + 1)],
    ['safetensors', encodeSafetensors({ w: new Float32Array(5000).fill(1.5) })],
    ['tflite', fileOf('\x1c\0\0\0TFL3', 600)],
  ])('the bytes of a file: %s', async (format, bytes) => {
    const file = join(folder, `model.${format}`)
    await writeFile(file, bytes)
    const forms: Record<string, () => unknown> = {
      bytes: () => bytes,
      Buffer: () => Buffer.from(bytes),
      stream: () => new Blob([bytes]).stream(),
      'file on disk': () => openAsBlob(file),
    }
    for (const [form, value] of Object.entries(forms)) {
      await hub.saveModel(await value(), format, { format, form })
      const found = (await hub.findTopModel(format, { form })) as Uint8Array & { _format: string }
      expect(Buffer.compare(found, bytes), form).toBe(0)
      expect(found._format).toBe(format)
    }
    // Whole files are streamed, never whole in memory.
    const handle = await hub.models.open({ model_name: format, form: 'file on disk' })
    const streamed = Buffer.from(await new Response(handle?.stream()).arrayBuffer())
    expect(streamed.equals(bytes)).toBe(true)
  })
})
