import { stripTypeScriptTypes } from 'node:module'

/**
 * TypeScript without its types, as Node itself strips them when it runs the file. Node marks the function as experimental and says so once on the
 * terminal of whoever creates a task; that one warning is kept back, every other goes through.
 *
 * @throws SyntaxError, also for syntax that stripping cannot handle (enums, parameter properties).
 */
export function stripTypes(source: string): string {
  const { emitWarning } = process
  // The call is synchronous, so nobody else's warning is emitted meanwhile.
  process.emitWarning = ((warning: string | Error, ...rest: unknown[]) => {
    if (rest[0] === 'ExperimentalWarning' && String(warning).startsWith('stripTypeScriptTypes ')) return
    Reflect.apply(emitWarning, process, [warning, ...rest])
  }) as typeof process.emitWarning
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = emitWarning
  }
}
