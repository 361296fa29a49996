import { checkValue, isHubError, type Value } from '@tensorhub/core'
import { type FromChild, RAN_DRY } from './child/wire.ts'
import type { TaskError } from './document.ts'

/** How an attempt's work ended, before that is written. */
export interface Attempt {
  readonly result: { readonly [name: string]: Value }
  readonly error?: TaskError
  /** The machine is at fault, as far as one can tell. */
  readonly infra: boolean
  readonly output: string
}

const STACK_LIMIT = 16_384
const MESSAGE_LIMIT = 16_384

/** What the end of a child or handler means: its results, or an error of the script, of its results, or of the machine. */
export function attemptOf(
  message: FromChild | undefined,
  end: { readonly code: number | null; readonly signal: NodeJS.Signals | null; readonly output: string },
): Attempt {
  const { output } = end
  if (message === undefined || message.kind === 'progress') {
    const how =
      end.signal === null
        ? `ended by itself with code ${end.code} before it gave a result (${end.code === RAN_DRY ? 'it waits for a promise that no timer, file or connection can settle any more' : 'did it call process.exit?'})`
        : `was killed by ${end.signal} (out of memory, or killed from outside)`
    return {
      result: {},
      error: { code: end.signal === null ? 'SCRIPT_EXIT' : 'INFRA', message: `The script's process ${how}.` },
      infra: end.signal !== null,
      output,
    }
  }
  if (message.kind === 'error')
    return {
      result: {},
      error: {
        code: 'SCRIPT_ERROR',
        message: `${message.name}: ${message.message}`.slice(0, MESSAGE_LIMIT),
        stack: message.stack.slice(0, STACK_LIMIT),
      },
      infra: false,
      output,
    }
  const result: Record<string, Value> = {}
  const problems = message.bad.map(({ key, why }) => `'${key}' cannot be stored: ${why}`)
  for (const [key, value] of Object.entries(message.values as Record<string, unknown>)) {
    try {
      checkValue({ [key]: value }, 'result')
      result[key] = checkValue(value, `result.${key}`)
    } catch (error) {
      if (!isHubError(error)) throw error
      problems.push(`'${key}' cannot be stored: ${error.message}`)
    }
  }
  if (message.missing.length > 0)
    problems.unshift(
      `the script gave no ${message.missing.map((key) => `'${key}'`).join(', ')}, which savedResultKeys asks for`,
    )
  if (problems.length === 0) return { result, infra: false, output }
  return {
    result,
    error: {
      code: message.missing.length > 0 ? 'RESULT_MISSING' : 'RESULT_INVALID',
      message: `The attempt failed: ${problems.join('; ')}.`.slice(0, MESSAGE_LIMIT),
    },
    infra: false,
    output,
  }
}
