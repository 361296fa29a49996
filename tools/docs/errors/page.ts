import { markdownTable } from '../table.ts'
import { REASONS, TASK_ERRORS } from './reasons.ts'
import { codeMeanings, type ErrorSite, errorSites, taskErrorCodes } from './scan.ts'

export const ERRORS_PAGE = 'docs/errors.md'

const HEAD = `# Errors

<!-- written by \`node tools/docs/errors/write.ts\` from the code; do not edit -->

Every failure is a \`HubError\`; \`false\` and \`undefined\` only ever mean "nothing matches". An error carries

- \`code\`: one of the list below. Codes are API: they stay from version to version, and messages may change.
- \`retryable\`: whether the same call may succeed later without any change.
- \`at\`: \`{ scheme, op, target? }\`, where it arose. No secret is ever in it, nor in the message.
- \`reason\`: a finer cause, where there is one; \`path\`: the place in what you gave that is at fault.
- \`cause\`: the error below it, for example of the file system.
- \`stored\`: after an \`insert\` of several documents that failed half-way, the \`_id\`s that were stored.

Ask with \`isHubError\`, not \`instanceof\`: two copies of the package may be in one program.

\`\`\`ts
import { isHubError, TensorHub } from 'tensorhub'

const hub = await TensorHub.connect('memory:', { projectName: 'digits' })
try {
  await hub.saveModel({ weights: [1] }, 'mlp', { content: 'mine' })
} catch (error) {
  if (!isHubError(error, 'INVALID')) throw error
  console.log(error.reason, error.path) // RESERVED_TAG content
}
await hub.close()
\`\`\`
`

/** The page as the code says it. @throws Naming a reason or task error that is not described, or described and gone. */
export function errorsPage(): string {
  const sites = errorSites()
  const codes = codeMeanings()
  const reasons = [...new Set(sites.flatMap((site) => site.reasons))].sort()
  const taskErrors = taskErrorCodes()
  same('REASONS', Object.keys(REASONS), reasons)
  same('TASK_ERRORS', Object.keys(TASK_ERRORS), taskErrors)
  const codeRows = codes.map(({ code, means, todo }) => {
    const own = sites.filter((site) => site.code === code)
    return [quoted(code), means, todo, retryable(own), packagesOf(own)]
  })
  const reasonRows = reasons.map((reason) => {
    const own = sites.filter((site) => site.reasons.includes(reason))
    const under = [...new Set(own.map((site) => quoted(site.code)))].sort().join(' ')
    return [quoted(reason), under, REASONS[reason] ?? '', packagesOf(own)]
  })
  const taskRows = taskErrors.map((code) => [quoted(code), TASK_ERRORS[code] ?? ''])
  return [
    HEAD,
    '## Codes\n',
    markdownTable(['code', 'means', 'what to do', 'retryable', 'comes from'], codeRows),
    '\n## Reasons\n',
    markdownTable(['reason', 'code', 'means, and what to do', 'comes from'], reasonRows),
    '\n## Errors of tasks\n',
    'A task that fails is an outcome, not an exception. The `error` in its outcome and document is `{ code, message, stack? }`; its `code` is one of these, or, where the attempt could not start, one of the list above.\n',
    markdownTable(['code', 'means'], taskRows),
    '',
  ].join('\n')
}

/** `yes`, `no`, or where it depends on the case. */
function retryable(sites: readonly ErrorSite[]): string {
  const some = sites.filter((site) => site.retryable).length
  return some === 0 ? 'no' : some === sites.length ? 'yes' : 'where it says so'
}

function quoted(name: string): string {
  return `\`${name}\``
}

function packagesOf(sites: readonly ErrorSite[]): string {
  return [...new Set(sites.map((site) => site.package))].sort().join(', ') || 'adapters'
}

function same(list: string, described: readonly string[], found: readonly string[]): void {
  const missing = found.filter((name) => !described.includes(name))
  const gone = described.filter((name) => !found.includes(name))
  if (missing.length > 0) throw new Error(`Describe in ${list} of tools/docs/errors/reasons.ts: ${missing.join(', ')}.`)
  if (gone.length > 0)
    throw new Error(
      `${list} of tools/docs/errors/reasons.ts describes what the code no longer has: ${gone.join(', ')}.`,
    )
}
