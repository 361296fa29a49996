/** A piece of a message on its way. The piece that begins one holds its whole head; the last one ends it, and may be empty. */
export interface Frame<Message> {
  readonly message: Message
  readonly bytes: Buffer
  readonly begins: boolean
  readonly ends: boolean
}

/** Cuts one direction of a connection into the messages of its protocol. All bytes come out as they came in. */
export interface Framer<Message> {
  push(chunk: Buffer): Frame<Message>[]
  /** The sender has ended: what was cut off, or has no other end. */
  end(): Frame<Message>[]
}
