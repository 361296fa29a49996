/** Starts a server, says where, and then ends without having stopped it: `exit`, `throw`, or by whoever kills it. */
import { startGcs } from '../../index.ts'

const { port, folder, from } = await startGcs()
process.stdout.write(`${JSON.stringify({ port, folder, from })}\n`)
const [how] = process.argv.slice(2)
if (how === 'exit') process.exit(3)
if (how === 'throw') throw new Error('not caught')
setInterval(() => undefined, 1000)
