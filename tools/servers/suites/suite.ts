import { describe, it } from 'vitest'
import { absenceOf, type ServerKind, type SuiteNeeds } from './kinds.ts'
import { tellSkipped } from './skipped.ts'

export { type ServerKind, type SuiteNeeds, serversOf } from './kinds.ts'

/**
 * `describe` for tests that need servers: await it at the top of a test file. Where one is absent the suite is skipped, and the
 * end of the run says so with the command that would get it; with TENSORHUB_SERVERS=all it fails instead.
 *
 * An install happens here, while the file is loaded, where no time limit of a test counts.
 */
export async function serverSuite(
  kinds: ServerKind | readonly ServerKind[],
  name: string,
  body: () => void,
  needs: SuiteNeeds = {},
): Promise<void> {
  for (const kind of [kinds].flat()) {
    const absence = await absenceOf(kind, needs)
    if (absence === undefined) continue
    if (absence.fails) {
      describe(name, () => {
        it(`has a server for ${kind}`, () => {
          throw new Error(`TENSORHUB_SERVERS=all, and there is none: ${absence.reason}`)
        })
      })
    } else {
      tellSkipped({ suite: name, kind, reason: absence.reason })
      describe.skip(`${name} (no server: ${kind})`, body)
    }
    return
  }
  describe(name, body)
}
