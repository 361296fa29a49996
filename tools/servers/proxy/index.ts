export {
  type Action,
  answer,
  delayReply,
  type HttpAnswer,
  halfOpen,
  loseReply,
  type MongoAnswer,
  resetReply,
  resetRequest,
  slow,
} from './actions.ts'
export { type Certificate, type CertificateOptions, selfSigned } from './certificate.ts'
export type { Line } from './link.ts'
export { type HttpStore, operationOf } from './operations.ts'
export { type FaultProxy, type ProxyOptions, startProxy } from './proxy.ts'
export type { ProxiedRequest } from './request.ts'
export type { Matcher, Often, Rule } from './rules.ts'
export { azureError, captivePage, gcsError, s3Error } from './store-errors.ts'
