const SECRET = /(secret|key|token|sig|signature|password|passwd|pwd|credential|auth)/i

/**
 * A URL that may be shown: user information and secret-looking parameters are replaced by `***`. Text that is no URL is shown as its scheme only.
 * A password may hold `/ ? # @` that should have been encoded: what stands between a user's colon and the last `@` is taken for one.
 */
export function redactUrl(text: string): string {
  const parts = /^([a-z][a-z0-9+.-]*:)(\/\/)?(?:([^/?#@:]*:.*|[^/?#]*)@)?([^?#]*)(\?[^#]*)?/i.exec(text)
  if (parts === null) return '***'
  const [, scheme = '', slashes = '', login, rest = '', query = ''] = parts
  const shown = query.replace(/([?&])([^=&]*)=([^&]*)/g, (whole, lead: string, name: string) =>
    SECRET.test(name) ? `${lead}${name}=***` : whole,
  )
  return `${scheme}${slashes}${login === undefined ? '' : '***@'}${rest}${shown}`
}
