import type { RunningServer } from './server.ts'

/** The variables that name a user's own server, or a service container of CI. */
export const OWN_SERVER = {
  mongodb: 'TENSORHUB_TEST_MONGODB',
  s3: 'TENSORHUB_TEST_S3',
  gcs: 'TENSORHUB_TEST_GCS',
  azure: 'TENSORHUB_TEST_AZURE',
} as const

/** What the variable of a store says; undefined when it is not set. */
export function ownServer(store: keyof typeof OWN_SERVER): string | undefined {
  return process.env[OWN_SERVER[store]] || undefined
}

/** A server that somebody else runs: it is used, never killed, started or stopped. */
export function notOurs(store: keyof typeof OWN_SERVER, host: string, port: number): RunningServer {
  const name = `the server of ${OWN_SERVER[store]} (${host}:${port})`
  const refuse = (verb: string) => async () => {
    throw new Error(`${name} was not started here, so it can't be ${verb}; unset ${OWN_SERVER[store]} for this suite`)
  }
  return {
    ...{ name, host, port, from: 'environment', ours: false, folder: '', pid: 0 },
    kill: refuse('killed'),
    start: refuse('started'),
    stop: async () => undefined,
  }
}
