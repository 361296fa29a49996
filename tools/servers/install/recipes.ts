import { rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Recipe, Run } from './recipe.ts'

const JAVA = fileURLToPath(new URL('../java', import.meta.url))

export const SECANTUS: Recipe = {
  name: 'SecantusDB 0.5.3-beta.196',
  folder: 'secantus-mdb-0.5.3-beta.196',
  program: 'bin/secantusd-rs',
  onPath: 'secantusd-rs',
  tools: ['cargo', 'cmake', 'cc'],
  cost: '10 min, 22 MB',
  command: 'cargo install secantus-mdb --version 0.5.3-beta.196 --locked --ignore-rust-version',
  build(folder, run) {
    const target = join(folder, 'target')
    run(
      'cargo',
      [
        ...['install', 'secantus-mdb', '--version', '0.5.3-beta.196', '--locked', '--ignore-rust-version'],
        ...['--root', folder, '--quiet'],
      ],
      { CARGO_TARGET_DIR: target },
    )
    rmSync(target, { recursive: true, force: true })
  },
}

export const SECANTUS_PYTHON: Recipe = {
  name: 'SecantusDB 0.7.0b3 (Python)',
  folder: 'secantusdb-python-0.7.0b3',
  program: 'bin/secantusd-py',
  onPath: 'secantusd-py',
  tools: ['python3'],
  cost: '2 min, 145 MB',
  command: 'python3 -m pip install SecantusDB==0.7.0b3',
  start: pythonProgram,
  build: (folder, run) => inVenv(folder, 'SecantusDB==0.7.0b3', run),
}

export const MONGO_JAVA: Recipe = {
  name: 'mongo-java-server 1.47.0',
  folder: 'mongo-java-server-1.47.0',
  program: 'classes/Launcher.class',
  tools: ['mvn', 'java', 'javac'],
  cost: '10 s, 4 MB',
  command: 'node tools/bootstrap/run.cjs exec node tools/servers/install.ts mongo-java-server',
  start: (folder) => ['java', '-cp', [join(folder, 'jars', '*'), join(folder, 'classes')].join(delimiter), 'Launcher'],
  build(folder, run) {
    const jars = join(folder, 'jars')
    run('mvn', [
      ...['-q', '-B', '-f', join(JAVA, 'pom.xml')],
      'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies',
      `-DoutputDirectory=${jars}`,
    ])
    run('javac', ['-cp', join(jars, '*'), '-d', join(folder, 'classes'), join(JAVA, 'Launcher.java')])
  },
}

export const VERSITYGW: Recipe = {
  name: 'versitygw 1.8.0',
  folder: 'versitygw-1.8.0',
  program: 'versitygw',
  onPath: 'versitygw',
  tools: ['go'],
  cost: '2 min, 84 MB',
  command: 'go install github.com/versity/versitygw/cmd/versitygw@v1.8.0',
  build: (folder, run) =>
    run('go', ['install', 'github.com/versity/versitygw/cmd/versitygw@v1.8.0'], { GOBIN: folder }),
}

export const FAKE_GCS: Recipe = {
  name: 'fake-gcs-server 1.56.1',
  folder: 'fake-gcs-server-1.56.1',
  program: 'fake-gcs-server',
  onPath: 'fake-gcs-server',
  tools: ['go'],
  cost: '1 min, 50 MB',
  command: 'go install github.com/fsouza/fake-gcs-server@v1.56.1',
  build: (folder, run) => run('go', ['install', 'github.com/fsouza/fake-gcs-server@v1.56.1'], { GOBIN: folder }),
}

export const MOTO: Recipe = {
  name: 'moto 5.2.5',
  folder: 'moto-5.2.5',
  program: 'bin/moto_server',
  onPath: 'moto_server',
  tools: ['python3'],
  cost: '2 min, 317 MB',
  command: "python3 -m pip install 'moto[server]==5.2.5'",
  start: pythonProgram,
  build: (folder, run) => inVenv(folder, 'moto[server]==5.2.5', run),
}

/** The slowest first: installs run side by side. */
export const RECIPES: readonly Recipe[] = [SECANTUS, VERSITYGW, FAKE_GCS, MONGO_JAVA, SECANTUS_PYTHON, MOTO]

/** A virtual environment with one requirement. */
function inVenv(folder: string, requirement: string, run: Run): void {
  run('python3', ['-m', 'venv', folder])
  const python = join(folder, 'bin', 'python')
  run(python, ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', requirement])
}

/** Through the interpreter: a script's first line names the folder that the environment was made in, and it has been moved since. */
function pythonProgram(folder: string, program: string): readonly string[] {
  const script = join(folder, program)
  return [join(dirname(script), 'python'), script]
}
