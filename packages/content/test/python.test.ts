import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeSafetensors, encodeSafetensors } from '../src/index.ts'
import { everyKind } from './values.ts'

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

  it.runIf(command !== undefined)('the reader that comes with the package gives every kind of value', async () => {
    const file = join(await mkdtemp(join(tmpdir(), 'tensorhub-ts-')), 'c.safetensors')
    await writeFile(file, encodeSafetensors(everyKind()))
    const script = `
import json, math, sys
from datetime import datetime, timezone
import numpy as np
sys.path.insert(0, sys.argv[1])
from tensorhub_value import load_value
v = load_value(sys.argv[2])
assert v['null'] is None and v['undefined'] is None and v['booleans'] == [True, False]
n = v['numbers']
assert n[:1] == [0] and math.copysign(1, n[1]) == -1 and n[2:5] == [1.5, -1e300, 5e-324] and math.isnan(n[5]) and n[6:] == [math.inf, -math.inf]
assert v['bigint'] == [0, -2**70] and v['strings'] == ['', 'ß', '👍', '\\0', '$t']
assert v['date'] == datetime(2009, 2, 13, 23, 31, 30, 123000, timezone.utc)
assert v['empty'] == [{}, []]
names = ['uint8', 'uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64', 'float32', 'float64', 'float32']
assert [a.dtype.name for a in v['typed']] == names
assert v['typed'][7].tolist() == [2**64 - 1] and v['typed'][8].tolist() == [-2**63] and v['typed'][11].shape == (0,)
assert np.array_equal(v['shared']['a'], (np.arange(1000) / 3).astype(np.float32)) and np.array_equal(v['shared']['a'], v['shared']['b'])
assert v['buffer'] == bytes([9, 8, 7]) and v['map'] == {'k': 1, 2: datetime(1970, 1, 1, 0, 0, 0, 5000, timezone.utc)} and v['set'] == {1, 'two'}
t = v['tensors']
assert [(a.dtype.name, a.shape) for a in t] == [('float32', (2, 3)), ('uint16', (2,)), ('float16', (1, 1)), ('uint8', (3,)), ('bool', (2, 2)), ('int64', ()), ('float64', (0, 5))]
assert t[1].tolist() == [0x3f80, 0x4000] and t[2].tolist() == [[1.0]] and t[3].tolist() == [1, 2, 3] and t[5].item() == 42
assert v['nested'][3][4] == 11.5 and len(v['nested']) == 20 and v['ragged'] == [[1, 2], [3]]
assert v['$dollar'] == {'$t': 't/0', '$$twice': 1, '$date': 'no'} and v['__proto__'] == {'polluted': True}
plain = load_value(sys.argv[3])
assert plain['halves'].tolist() == [1.0, -2.0] and plain['weights'].shape == (2, 3)
print('all right')
`
    const folder = join(import.meta.dirname, '..', 'python')
    const args = ['-c', script, folder, file, join(fixtures, 'from-python.safetensors')]
    const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' }
    expect(
      execFileSync(command as string, args, { env })
        .toString()
        .trim(),
    ).toBe('all right')
  })

  it.runIf(command !== undefined)('the committed file is what the script makes', async () => {
    const made = join(await mkdtemp(join(tmpdir(), 'tensorhub-py-')), 'd.safetensors')
    execFileSync(command as string, [join(fixtures, 'make.py'), made])
    const [now, committed] = [await readFile(made), await readFile(join(fixtures, 'from-python.safetensors'))]
    expect(committed.length).toBeGreaterThan(300)
    expect(decodeSafetensors(now)).toStrictEqual(decodeSafetensors(committed))
  })
})
