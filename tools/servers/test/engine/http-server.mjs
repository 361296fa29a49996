// What an image of the stand-in may run where any server of HTTP will do: `-host HOST -port PORT` as fake-gcs-server takes them.
import { createServer } from 'node:http'

const after = (name) => process.argv[process.argv.indexOf(name) + 1]
createServer((_, reply) => reply.end('here')).listen(Number(after('-port')), after('-host'))
