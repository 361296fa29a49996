import { createSign, generateKeyPairSync, randomBytes } from 'node:crypto'

/** A certificate that nobody trusts, and its key, both PEM. */
export interface Certificate {
  readonly key: string
  readonly cert: string
}

export interface CertificateOptions {
  /** The DNS names and IPv4 addresses that it is for. `localhost`, `127.0.0.1` */
  readonly names?: readonly string[]
  /** Ran out yesterday. */
  readonly expired?: boolean
}

const DAY_MS = 86_400_000

/**
 * A self-signed certificate, made anew. Node's crypto makes keys and signatures but no certificates, so the few fields of one
 * are written here (RFC 5280, DER).
 */
export function selfSigned({
  names = ['localhost', '127.0.0.1'],
  expired = false,
}: CertificateOptions = {}): Certificate {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'))
  const name = sequence(set(sequence(oid('2.5.4.3'), der(0x0c, Buffer.from('TensorHub tests')))))
  const now = Date.now()
  const validity = sequence(time(now - 30 * DAY_MS), time(expired ? now - DAY_MS : now + 30 * DAY_MS))
  const basicConstraints = sequence(
    oid('2.5.29.19'),
    der(1, Buffer.from([0xff])),
    octets(sequence(der(1, Buffer.from([0xff])))),
  )
  const alternatives = sequence(oid('2.5.29.17'), octets(sequence(...names.map(alternativeName))))
  const body = sequence(
    der(0xa0, der(2, Buffer.from([2]))),
    der(2, Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    algorithm,
    name,
    validity,
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(basicConstraints, alternatives)),
  )
  const signature = createSign('sha256').update(body).sign(privateKey)
  const certificate = sequence(body, algorithm, der(3, Buffer.concat([Buffer.from([0]), signature])))
  const lines = certificate.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    cert: `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`,
  }
}

function der(tag: number, content: Buffer): Buffer {
  const { length } = content
  const bytes = length < 0x80 ? [length] : length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff]
  return Buffer.concat([Buffer.from([tag, ...bytes]), content])
}

const sequence = (...parts: Buffer[]) => der(0x30, Buffer.concat(parts))
const set = (...parts: Buffer[]) => der(0x31, Buffer.concat(parts))
const octets = (content: Buffer) => der(0x04, content)

function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  const bytes = [first * 40 + second]
  for (const arc of rest) {
    const groups = [arc & 0x7f]
    for (let left = arc >> 7; left > 0; left >>= 7) groups.unshift((left & 0x7f) | 0x80)
    bytes.push(...groups)
  }
  return der(0x06, Buffer.from(bytes))
}

/** UTCTime, which RFC 5280 wants for dates before 2050. */
function time(ms: number): Buffer {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, '').slice(2, 14)
  return der(0x17, Buffer.from(`${text}Z`))
}

function alternativeName(name: string): Buffer {
  return /^\d+(\.\d+){3}$/.test(name)
    ? der(0x87, Buffer.from(name.split('.').map(Number)))
    : der(0x82, Buffer.from(name))
}
