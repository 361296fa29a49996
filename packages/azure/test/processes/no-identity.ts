// Prints the error of a hub whose account has no secret, where @azure/identity is not installed.
import { registerHooks } from 'node:module'

registerHooks({
  resolve(specifier, context, next) {
    if (specifier === '@azure/identity')
      throw Object.assign(new Error(`Cannot find package '${specifier}'`), { code: 'ERR_MODULE_NOT_FOUND' })
    return next(specifier, context)
  },
})
const { azure } = await import('@tensorhub/azure')
const { openBlobs } = await import('@tensorhub/core')
const error = await openBlobs(azure({ container: 'models', account: 'myaccount' }))
  .stat('k')
  .catch(({ code, reason, message }: { code: string; reason: string; message: string }) => ({ code, reason, message }))
console.log(JSON.stringify(error))
