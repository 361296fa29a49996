import { inspect } from 'node:util'
import { resolveSettings } from '../src/connect/settings.ts'

/** Reads the config file of each folder given, and prints how that failed. */
const failures: { code: unknown; message: string; shown: string }[] = []
for (const folder of process.argv.slice(2)) {
  try {
    await resolveSettings(undefined, {}, {}, folder)
  } catch (error) {
    const { code, message, stack } = error as Error & { code: unknown }
    failures.push({ code, message, shown: `${inspect(error, { depth: 9 })} ${stack} ${JSON.stringify(error)}` })
  }
}
process.stdout.write(JSON.stringify(failures))
