import type { HttpAnswer } from './actions.ts'

/** S3's form of an error: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html */
export function s3Error(status: number, code: string, message = code): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/xml', 'x-amz-request-id': 'PROXY' },
    body: `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message><RequestId>PROXY</RequestId></Error>`,
  }
}

/** Google Cloud Storage's form of an error: https://cloud.google.com/storage/docs/json_api/v1/status-codes */
export function gcsError(status: number, reason: string, message = reason): HttpAnswer {
  const error = { code: status, message, errors: [{ message, domain: 'global', reason }] }
  return { status, headers: { 'content-type': 'application/json; charset=UTF-8' }, body: JSON.stringify({ error }) }
}

/** Azure's form of an error: https://learn.microsoft.com/rest/api/storageservices/status-and-error-codes2 */
export function azureError(status: number, code: string, message = code): HttpAnswer {
  return {
    status,
    headers: { 'content-type': 'application/xml', 'x-ms-error-code': code, 'x-ms-request-id': 'proxy' },
    body: `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  }
}

/** What a hotel's network answers to everything: a page to sign in at, as a success. */
export const captivePage: HttpAnswer = {
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' },
  body: '<!DOCTYPE html><html><head><title>Sign in to the network</title></head><body><form action="/login">Room number</form></body></html>',
}
