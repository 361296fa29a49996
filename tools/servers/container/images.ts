/** The container image of a server: what docker-compose.yml runs, and what is run where the server can't be had as a program. */
export interface Image {
  /** Program and version: `MongoDB 8.0.15`. */
  readonly name: string
  /** As docker-compose.yml names it. */
  readonly image: string
  /** The folder in the container that holds its data; a volume is mounted there. */
  readonly data: string
}

// The one place for images and their versions; test/containers.test.ts holds docker-compose.yml and the programs' versions to it.
export const MONGO_IMAGE: Image = { name: 'MongoDB 8.0.15', image: 'mongo:8.0.15', data: '/data/db' }
export const VERSITYGW_IMAGE: Image = { name: 'versitygw 1.8.0', image: 'versity/versitygw:v1.8.0', data: '/data' }
export const FAKE_GCS_IMAGE: Image = {
  ...{ name: 'fake-gcs-server 1.56.1', image: 'fsouza/fake-gcs-server:1.56.1', data: '/storage' },
}
export const AZURITE_IMAGE: Image = {
  ...{ name: 'Azurite 3.36.0', image: 'mcr.microsoft.com/azure-storage/azurite:3.36.0', data: '/data' },
}

/** With its registry: podman asks which one is meant, or refuses, where Docker means its own. */
export function withRegistry({ image }: Image): string {
  const [first = '', ...rest] = image.split('/')
  if (rest.length === 0) return `docker.io/library/${image}`
  return /[.:]/.test(first) ? image : `docker.io/${image}`
}
