import { spawn } from 'node:child_process'
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { startAzure, startGcs, startMongo, startS3 } from '../index.ts'
import { locate } from '../locate.ts'
import { SOURCES } from '../sources.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tensorhub-look-up-'))
  vi.stubEnv('TENSORHUB_CACHE', join(folder, 'cache'))
  vi.stubEnv('TENSORHUB_SERVERS', '')
  vi.stubEnv('PATH', join(folder, 'bin'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(folder, { recursive: true, force: true })
})

function program(file: string, text = 'exit 0'): string {
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
  return file
}
const onPath = (name: string, text?: string) => program(join(folder, 'bin', name), text)
const inCache = (name: string) => program(join(folder, 'cache', 'servers', name))
/** A `go` that builds nothing but what it is asked for. */
const go = (before = '') =>
  onPath(
    'go',
    `PATH=/usr/bin:/bin\n${before}\nname=$(basename "\${2%@*}")\nprintf '#!/bin/sh\\n' > "$GOBIN/$name"\nchmod +x "$GOBIN/$name"`,
  )

describe('where a server is looked for', () => {
  it('PATH comes before the cache', async () => {
    inCache('versitygw-1.8.0/versitygw')
    const there = onPath('versitygw')
    expect(await locate(SOURCES.s3)).toEqual({ name: 'versitygw 1.8.0', from: 'PATH', command: [there] })
  })

  it('what can’t be executed is none', async () => {
    const cached = inCache('versitygw-1.8.0/versitygw')
    chmodSync(onPath('versitygw'), 0o644)
    expect(await locate(SOURCES.s3)).toEqual({ name: 'versitygw 1.8.0', from: 'cache', command: [cached] })
  })

  it('the cache comes before an install', async () => {
    go('exit 1')
    const cached = inCache('versitygw-1.8.0/versitygw')
    expect(await locate(SOURCES.s3)).toEqual({ name: 'versitygw 1.8.0', from: 'cache', command: [cached] })
  })

  it('an install, where its tools are there', async () => {
    go()
    const installed = join(folder, 'cache', 'servers', 'versitygw-1.8.0', 'versitygw')
    expect(await locate(SOURCES.s3)).toEqual({ name: 'versitygw 1.8.0', from: 'install', command: [installed] })
    expect((await locate(SOURCES.s3)).from).toBe('cache')
  })

  it('absence names the command that would get it, and the tool that is missing', async () => {
    const failed = locate(SOURCES.s3)
    await expect(failed).rejects.toThrow(/versitygw 1\.8\.0 is neither on PATH nor in the cache, and go is missing/)
    await expect(failed).rejects.toThrow('go install github.com/versity/versitygw/cmd/versitygw@v1.8.0')
    await expect(failed).rejects.toThrow(
      'or: versitygw 1.8.0 in a container, but no container engine (docker, podman) is on PATH. To get it: docker pull docker.io/versity/versitygw:v1.8.0',
    )
    await expect(failed).rejects.toHaveProperty('name', 'ServerMissing')
  })

  it('nothing is installed where TENSORHUB_SERVERS=cached', async () => {
    go()
    vi.stubEnv('TENSORHUB_SERVERS', 'cached')
    await expect(locate(SOURCES.s3)).rejects.toThrow(/TENSORHUB_SERVERS=cached forbids/)
  })

  it('a failed install says what the tool said, and leaves nothing that counts', async () => {
    go('echo "no network" >&2; exit 1')
    await expect(locate(SOURCES.s3)).rejects.toThrow(
      /could not be installed[\s\S]*no network[\s\S]*To get it: go install/,
    )
    expect(readdirSync(join(folder, 'cache', 'servers')).filter((name) => !/\.lock\./.test(name))).toEqual([])
  })

  it('what is started through an interpreter names it', async () => {
    const script = inCache('secantusdb-python-0.7.0b3/bin/secantusd-py')
    expect((await locate(SOURCES['mongodb-python'])).command).toEqual([join(dirname(script), 'python'), script])
    inCache('mongo-java-server-1.47.0/classes/Launcher.class')
    expect((await locate(SOURCES['mongodb-java'])).command).toEqual(expect.arrayContaining(['java', '-cp', 'Launcher']))
  })

  it('MongoDB: all its servers are named where none can be had', async () => {
    await expect(startMongo()).rejects.toThrow(
      /cargo install secantus-mdb[\s\S]*pip install SecantusDB[\s\S]*docker pull docker\.io\/library\/mongo:8/,
    )
  })
})

describe('installs', () => {
  const install = (name: string) => {
    const child = spawn(process.execPath, [fileURLToPath(new URL('../install.ts', import.meta.url)), name], {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: { ...process.env },
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (text) => {
      said += text
    })
    return {
      child,
      done: new Promise<{ code: number | null; said: string }>((resolve) =>
        child.once('close', (code) => resolve({ code, said })),
      ),
    }
  }

  it('of two processes at once only one installs', async () => {
    go(`echo run >> "${folder}/runs"; sleep 1`)
    const results = await Promise.all([install('versitygw').done, install('versitygw').done, install('versitygw').done])
    expect(results.map(({ code }) => code)).toEqual([0, 0, 0])
    expect(results.filter(({ said }) => said.includes('installing versitygw 1.8.0 (about'))).toHaveLength(1)
    expect(results.map(({ said }) => said).join('')).toContain('waiting for it')
  })

  it('killed in the middle: nothing counts, and the next one starts over', async () => {
    go(`: > "$GOBIN/half"; : > "${folder}/began"; sleep 20`)
    const { child, done } = install('versitygw')
    await expect.poll(() => existsSync(join(folder, 'began')), { timeout: 60_000 }).toBe(true)
    child.kill('SIGKILL')
    await done
    const cache = join(folder, 'cache', 'servers')
    expect(existsSync(join(cache, 'versitygw-1.8.0'))).toBe(false)
    go()
    expect((await install('versitygw').done).code).toBe(0)
    expect(readdirSync(cache).filter((name) => !/\.lock\./.test(name))).toEqual(['versitygw-1.8.0'])
    expect(readdirSync(join(cache, 'versitygw-1.8.0'))).toEqual(['versitygw'])
  })

  it('--all says what could not be had', async () => {
    go()
    const { code, said } = await install('--all').done
    expect(code).toBe(1)
    expect(said).toContain('versitygw 1.8.0 is ready')
    expect(said).toContain('fake-gcs-server 1.56.1 is ready')
    expect(said).toMatch(/could not install .*SecantusDB 0\.5\.3/)
    expect(said).toContain('cargo')
  })

  it('an unknown name is refused with those there are', async () => {
    const { code, said } = await install('minio').done
    expect(code).toBe(1)
    expect(said).toMatch(/no server minio; there are .*versitygw-1\.8\.0/)
  })
})

describe('a user’s own server', () => {
  it.each([
    [
      'mongodb://hub:p%40ss@db.example:27018/?replicaSet=rs0',
      'db.example',
      27018,
      'mongodb://hub:p%40ss@db.example:27018/x?replicaSet=rs0',
    ],
    [
      'mongodb+srv://hub@cluster.example/?tls=true',
      'cluster.example',
      27017,
      'mongodb+srv://hub@cluster.example/x?tls=true',
    ],
    ['mongodb://a.example:1,b.example:2', 'a.example', 1, 'mongodb://a.example:1,b.example:2/x'],
  ])('MongoDB %s', async (url, host, port, database) => {
    vi.stubEnv('TENSORHUB_TEST_MONGODB', url)
    const server = await startMongo()
    expect(server).toMatchObject({ host, port, ours: false, pid: 0 })
    expect(server.urlOf('x')).toBe(database)
  })

  it('the stores', async () => {
    vi.stubEnv('TENSORHUB_TEST_S3', 'https://key:se%2Fcret@s3.eu-central-1.amazonaws.com?region=eu-central-1')
    expect(await startS3()).toMatchObject({
      ...{ endpoint: 'https://s3.eu-central-1.amazonaws.com', region: 'eu-central-1', port: 443 },
      ...{ accessKeyId: 'key', secretAccessKey: 'se/cret' },
    })
    vi.stubEnv('TENSORHUB_TEST_GCS', 'https://storage.googleapis.com?project=p')
    expect(await startGcs()).toMatchObject({ endpoint: 'https://storage.googleapis.com', projectId: 'p' })
    vi.stubEnv(
      'TENSORHUB_TEST_AZURE',
      'DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5==;EndpointSuffix=core.windows.net',
    )
    expect(await startAzure()).toMatchObject({
      ...{
        endpoint: 'https://acc.blob.core.windows.net',
        account: 'acc',
        key: 'a2V5==',
        host: 'acc.blob.core.windows.net',
      },
    })
  })

  it('is neither killed nor started, and stays when it is stopped', async () => {
    vi.stubEnv('TENSORHUB_TEST_GCS', 'http://127.0.0.1:4443?project=p')
    const server = await startGcs()
    await expect(server.kill()).rejects.toThrow(/can't be killed; unset TENSORHUB_TEST_GCS/)
    await expect(server.start()).rejects.toThrow(/can't be started/)
    await server.stop()
  })

  it('what is wrong in a variable is named without its secret', async () => {
    vi.stubEnv('TENSORHUB_TEST_AZURE', 'AccountKey=hidden')
    vi.stubEnv('TENSORHUB_TEST_GCS', 'http://hidden@127.0.0.1')
    vi.stubEnv('TENSORHUB_TEST_MONGODB', 'postgres://u:hidden@host')
    for (const [start, name] of [
      [startAzure, 'AZURE'],
      [startGcs, 'GCS'],
      [startMongo, 'MONGODB'],
    ] as const) {
      const error = await start().then(
        () => undefined,
        (reason: Error) => reason,
      )
      expect(error?.message).toContain(`TENSORHUB_TEST_${name}`)
      expect(error?.message).not.toContain('hidden')
    }
  })
})
