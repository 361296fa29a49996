import { randomBytes } from 'node:crypto'
import type { IndexHarness } from '@tensorhub/conformance'
import type { IndexDriver } from '@tensorhub/core'
import { type MongoServer, startMongo } from '@tensorhub/servers'
import { MongoClient } from 'mongodb'
import { mongodb } from '../src/index.ts'
import { JAVA, on, SECANTUS, type StandIn } from './stand-ins.ts'

/** A server per mode, started by the suite that needs it. */
export const MODES = {
  'SecantusDB, replica set': { start: () => startMongo(), standIn: SECANTUS },
  'SecantusDB, standalone': { start: () => startMongo({ standalone: true }), standIn: SECANTUS },
  'mongo-java-server': { start: () => startMongo({ kind: 'java' }), standIn: JAVA },
} as const

/** A database name that no other test has. */
export function freshDatabase(): string {
  return `t${randomBytes(6).toString('hex')}`
}

/** Drops a collection beside the driver. */
export async function dropCollection(server: MongoServer, database: string, name: string): Promise<void> {
  const client = new MongoClient(server.urlOf(database))
  try {
    await client.db(database).dropCollection(name)
  } finally {
    await client.close()
  }
}

/** Drops a database beside the driver. */
export async function dropDatabase(server: MongoServer, name: string): Promise<void> {
  const client = new MongoClient(server.urlOf(name))
  try {
    await client.db(name).dropDatabase()
  } finally {
    await client.close()
  }
}

export function indexHarness(server: () => MongoServer, standIn?: StandIn): IndexHarness {
  const databases = new Map<IndexDriver, string>()
  const open = (name: string): IndexDriver => {
    const driver = on(mongodb({ url: server().urlOf(name) }), standIn)
    databases.set(driver, name)
    return driver
  }
  return {
    make: () => open(freshDatabase()),
    again: (driver) => open(databases.get(driver) as string),
    wipe: (driver) => dropDatabase(server(), databases.get(driver) as string),
    unusable: () => mongodb({ url: 'mongodb://127.0.0.1:1/none', timeout: 500 }),
  }
}
