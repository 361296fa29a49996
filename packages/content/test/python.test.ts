import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors, encodeSafetensors } from '../src/index.ts'

const fixtures = join(import.meta.dirname, 'fixtures')

/** A Python with `safetensors` and numpy in a folder of its own, made when missing; undefined where there is no Python or no registry. */
function python(): string | undefined {
  const folder = join(homedir(), '.cache', 'tensorhub', 'python-safetensors')
  const command = join(folder, 'bin', 'python')
  try {
    if (!existsSync(command)) execFileSync('python3', ['-m', 'venv', folder], { stdio: 'ignore', timeout: 60_000 })
    try {
      execFileSync(command, ['-c', 'import safetensors.numpy, numpy'], { stdio: 'ignore' })
    } catch {
      execFileSync(join(folder, 'bin', 'pip'), ['install', '-q', 'safetensors', 'numpy'], {
        stdio: 'ignore',
        timeout: 100_000,
      })
    }
    return command
  } catch (error) {
    console.warn(
      `No Python with safetensors here (${(error as Error).message.split('\n')[0]}); only the committed files are read.`,
    )
    return undefined
  }
}

/** What `fixtures/from-python.safetensors` holds; `fixtures/make.py` made it with Python's own library. */
function expected() {
  return {
    weights: { dtype: 'float32', shape: [2, 3], data: new Float32Array([0, 1, 2, 3, 4, 5]) },
    counts: { dtype: 'int64', shape: [2], data: new BigInt64Array([-1n, 2n ** 40n]) },
    flags: { dtype: 'bool', shape: [3], data: new Uint8Array([1, 0, 1]) },
    halves: { dtype: 'float16', shape: [2], data: new Uint16Array([0x3c00, 0xc000]) },
    odd: { dtype: 'uint8', shape: [3], data: new Uint8Array([7, 8, 9]) },
  }
}

describe("Python's safetensors", () => {
  const command = python()

  it('its file is read (committed)', async () => {
    expect(decodeSafetensors(await readFile(join(fixtures, 'from-python.safetensors')))).toStrictEqual(expected())
  })

  it.runIf(command !== undefined)('its file is read (made now)', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'tensorhub-py-')), 'a.safetensors')
    execFileSync(command as string, [join(fixtures, 'make.py'), file])
    expect(decodeSafetensors(await readFile(file))).toStrictEqual(expected())
  })

  it.runIf(command !== undefined)('it reads what we write', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'tensorhub-ts-')), 'b.safetensors')
    await writeFile(file, encodeSafetensors({ ...expected(), name: 'net', list: [1, new Float64Array([0.5])] }))
    const script = `
import json, sys
from safetensors import safe_open
with safe_open(sys.argv[1], 'np') as f:
    tensors = {k: f.get_tensor(k) for k in f.keys()}
    print(json.dumps({'tree': json.loads(f.metadata()['tensorhub.tree']), 'tensors': {k: [str(t.dtype), list(t.shape), t.tolist()] for k, t in tensors.items()}}))
`
    const { tree, tensors } = JSON.parse(execFileSync(command as string, ['-c', script, file]).toString()) as {
      tree: Record<string, { $t: string }>
      tensors: Record<string, unknown>
    }
    const of = (name: string) => tensors[tree[name]?.$t ?? '']
    expect(of('weights')).toEqual([
      'float32',
      [2, 3],
      [
        [0, 1, 2],
        [3, 4, 5],
      ],
    ])
    expect(of('counts')).toEqual(['int64', [2], [-1, 2 ** 40]])
    expect(of('flags')).toEqual(['bool', [3], [true, false, true]])
    expect(of('halves')).toEqual(['float16', [2], [1, -2]])
    expect(tree).toMatchObject({ name: 'net' })
  })
})
