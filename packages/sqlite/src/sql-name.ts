/** What stands for a collection in the names of its table and indexes. SQLite takes `Logs` and `logs` for one name; here a capital has `^` before it. */
export function sqlName(coll: string): string {
  return coll.replace(/[A-Z]/g, (letter) => `^${letter.toLowerCase()}`)
}
