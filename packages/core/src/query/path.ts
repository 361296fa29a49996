import type { Path } from '../contracts/value.ts'
import { HubError } from '../errors/hub-error.ts'

/** Names that would reach JavaScript's prototypes in careless code; refused everywhere. */
export const UNSAFE_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/** Steps a path may have: more than any document is deep, so that a longer one is a mistake or an attack. */
const MAX_STEPS = 200

/**
 * Splits a dotted path (`'a.b.0'`) and checks its steps.
 *
 * @throws INVALID with the path: it is empty, or a step starts with `$`, holds NUL or is a prototype's name; outside filters also for an empty
 *   step. (In a filter `'a.'` names a field that no document can have, as in MongoDB.)
 */
export function parsePath(text: string, op = 'query'): Path {
  const steps = text.split('.')
  for (const step of steps) {
    const why =
      step === '' && (op !== 'filter' || text === '')
        ? 'has an empty step'
        : step.startsWith('$')
          ? `has the step '${step}', which starts with $`
          : step.includes('\u0000')
            ? 'has a NUL character'
            : UNSAFE_NAMES.has(step)
              ? `has the step '${step}', which is no field's name`
              : !step.isWellFormed()
                ? 'is not well-formed Unicode'
                : undefined
    if (why !== undefined) {
      throw new HubError('INVALID', `The path '${text}' ${why}.`, {
        at: { scheme: 'core', op },
        path: text,
        reason: 'PATH_REFUSED',
      })
    }
  }
  if (steps.length > MAX_STEPS) {
    throw new HubError('INVALID', `The path '${text.slice(0, 60)}…' has ${steps.length} steps; at most ${MAX_STEPS}.`, {
      at: { scheme: 'core', op },
      path: text,
    })
  }
  return steps
}
