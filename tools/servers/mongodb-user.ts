import { MongoClient } from 'mongodb'

/** A user of a MongoDB server and the database that knows it. */
export interface MongoAuth {
  readonly username: string
  readonly password: string
  readonly authSource: string
}

/** https://www.mongodb.com/docs/manual/reference/built-in-roles/ */
export interface MongoRole {
  readonly role: string
  readonly db: string
}

/** Makes a user on a server that asks nobody who they are yet. */
export async function createUser(url: string, user: MongoAuth, roles: readonly MongoRole[]): Promise<void> {
  const client = new MongoClient(url, { directConnection: true, serverSelectionTimeoutMS: 30_000 })
  try {
    await client.db(user.authSource).command({ createUser: user.username, pwd: user.password, roles: [...roles] })
  } finally {
    await client.close()
  }
}
