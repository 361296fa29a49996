import { ContainerClient, ContainerSASPermissions, StorageSharedKeyCredential } from '@azure/storage-blob'
import { azure } from '@tensorhub/azure'
import type { BlobHarness } from '@tensorhub/conformance'
import type { BlobDriver } from '@tensorhub/core'
import type { AzureServer } from '@tensorhub/servers'
import type { AzureConnectionOptions, AzureOptions, AzureTransferOptions } from '../src/options.ts'

let made = 0

export function containerClient(server: AzureServer, name: string): ContainerClient {
  const credential = new StorageSharedKeyCredential(server.account, server.key)
  return new ContainerClient(`${server.endpoint}/${name}`, credential)
}

/** A new, empty container; gives its name. */
export async function newContainer(server: AzureServer): Promise<string> {
  const name = `tensorhub-${process.pid}-${Date.now().toString(36)}-${++made}`
  await containerClient(server, name).create()
  return name
}

/** How a test reaches a container: by which credentials. */
export type Mode = (server: AzureServer, container: string) => Promise<AzureOptions> | AzureOptions

export function byKey(server: AzureServer, container: string): AzureConnectionOptions {
  return { container, account: server.account, key: server.key, endpoint: server.endpoint }
}

export function byClient(server: AzureServer, container: string): AzureOptions {
  return { client: containerClient(server, container) }
}

/** A SAS of the container that may read, write, delete and list. */
export async function bySas(server: AzureServer, container: string): Promise<AzureConnectionOptions> {
  return { container, account: server.account, endpoint: server.endpoint, sasToken: await sasOf(server, container) }
}

export async function sasOf(server: AzureServer, container: string, permissions = 'rcwdl', ms = 3_600_000) {
  const url = await containerClient(server, container).generateSasUrl({
    permissions: ContainerSASPermissions.parse(permissions),
    expiresOn: new Date(Date.now() + ms),
  })
  return new URL(url).search
}

/** The suite's way to stores on a server: a container each. */
export function harness(server: () => AzureServer, mode: Mode, transfer: AzureTransferOptions = {}): BlobHarness {
  const names = new WeakMap<BlobDriver, string>()
  const open = async (name: string) => {
    const driver = azure({ ...(await mode(server(), name)), ...transfer })
    names.set(driver, name)
    return driver
  }
  return {
    make: async () => open(await newContainer(server())),
    again: (driver) => open(names.get(driver) as string),
    wipe: async (driver) => {
      await containerClient(server(), names.get(driver) as string).delete()
    },
    unusable: async () => azure({ ...(await mode(server(), 'never-made')), ...transfer }),
  }
}
