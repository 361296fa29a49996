/** What each `reason` of a HubError means, and what to do. A test holds the names to those in the code. */
export const REASONS: Readonly<Record<string, string>> = {
  BLOB_TOO_LARGE: 'A blob is larger than the store takes (`can.sizeMax`). Cut it, or use another store.',
  BLOCKS_GONE:
    'Another writer committed the same key of an Azure container while blocks of this one were on their way, which the service then discards. Write it again.',
  CAPABILITY: 'The store cannot do this; its `can` says so. Use another store for it, or do without the option.',
  CHANGE_REFUSED:
    '`set`, `unset` or `inc` asks for the impossible: a path through something that is no object, an `inc` of a non-number, one path twice. Nothing was changed.',
  CHUNK_DAMAGED:
    'A chunk does not hash to its id: bits rotted, or somebody wrote to the store. Restore that blob from a copy.',
  CHUNK_MISSING: 'A record names a chunk that is gone. Restore the blob that the message names, or delete the record.',
  CLOCK_SKEW: "This machine's clock is too far from the store's. Set it right.",
  CODEC_MISSING:
    'A model was saved in a format that needs a codec. Install the package named, or pass its codec to `connect({ codecs })`.',
  COMMIT_LOST:
    'The server did not answer the commit of a write, and had not done it. Nothing was stored; write it again.',
  CREDENTIALS:
    'The store does not accept the credentials, or there are none. Correct the key, token or sign-in that the message names.',
  CURSOR: 'A cursor that is damaged, or was made with another sort. Start again from the first page.',
  DOCUMENT_TOO_LARGE:
    'A document is larger than the index takes (`can.maxDocBytes`). Save the bulk as a dataset or model, and keep tags small.',
  DTYPE: 'A safetensors file has an element type that this version does not know. Convert the tensor, or update.',
  EMPTY_FILTER:
    '`update` or `delete` of a namespace was given no filter. For everything of the project say so: `{ _id: { $exists: true } }`.',
  FIELD_NAME:
    'A filter of a namespace names `modelName` where the document has `model_name`. Use the name in the message.',
  FILE_GONE:
    'The index file was deleted, moved or replaced while a hub had it open. Nothing was written; close the hub and connect again.',
  IMPORT_LINK: 'A task script imports a file through a symbolic link that leaves its folder. Copy the file.',
  IMPORT_OUTSIDE:
    'A task script imports a file from outside of its folder, which could not be sent along. Move the script up, or the file in.',
  INDEX_CONFLICT:
    'The database has another index on the same keys, which does not do what is asked of it (not unique, or only partial). Drop it, and try again.',
  INLINE_DAMAGED:
    'A small value, kept inside its document, does not hash to its id: somebody wrote to the index. Restore the document from a copy.',
  LIST_ORDER:
    'The bucket lists its keys in an order of its own (S3 directory buckets do). Use a general purpose bucket.',
  MANIFEST_MISSING: 'The list of the chunks of a large value is gone. Restore that blob, or delete the record.',
  NODE_VERSION: 'This Node has no `node:sqlite`. Use Node 22.18 or later.',
  NOT_THE_STORE:
    'Something else answered: a sign-in page of a network, a proxy, another service. Sign in to the network, or correct the endpoint.',
  NO_BUCKET:
    'The bucket, container or database is not there. Make it with the command in the message, or name another.',
  NO_LAYER: 'The URL names a store that has no such layer: no index, or no blobs. Name another for it.',
  NO_RUNNER: '`wait` gave up: tasks were due for longer than `runnerTimeout`, and no runner took one. Start one.',
  OUTCOME_UNKNOWN:
    'The reply to a conditional write was lost, and what is there now does not tell whether it was done. Read the blob, then decide.',
  PACKAGE_MISSING: 'A package that this needs is not installed; the message has the command.',
  PARALLEL_ARRAYS: 'A sort goes through two different arrays of one document, which has no order. Sort by one of them.',
  PART_LIMITS: 'The limits of parts that a driver gave contradict each other or are no numbers. Correct its `can`.',
  PATH_REFUSED: 'A path has an empty step, `$`, NUL, `__proto__`, `constructor` or `prototype`.',
  PERMISSION: 'The credentials are good, and may not do this. Grant the role or permission that the message names.',
  PRECONDITIONS_IGNORED:
    'The server answers as if conditions had held that it does not look at. Nothing was written; use another server, or do without conditions.',
  QUERY_INVALID: 'A known operator with a wrong operand.',
  QUERY_OPERATOR_REFUSED:
    'An unknown or refused operator or operand, or a filter beyond the limits of [query.md](query.md#limits-and-refusals).',
  QUERY_TEXT: 'The text or URI form cannot be read; `path` is the character, from 0.',
  RECORD_DELETED: 'The record was deleted while its content was being read. Look for it again.',
  REGEX_REFUSED: 'A pattern outside of the subset that runs in linear time.',
  REGION: 'The bucket is in another region, or none was given. Give the one that the message names.',
  REPLY_LOST:
    'The request was sent and its reply was lost, so whether it was done is not known. Read back what was written before you repeat it.',
  RESERVED_TAG: 'A tag has a name that the hub uses itself. Choose another.',
  SAME_STORE:
    '`copyTo` was given a destination that shares its index or its blob store with the source. Name stores of their own; two hubs must not share one.',
  SCRIPTS_REFUSED:
    'This hub is shared, and it was not said which task scripts may run here. See [tasks.md](tasks.md#which-scripts-may-run).',
  SCRIPT_HASH:
    "A task's script is not what was uploaded: it was altered in the store. The task fails for good; find out who wrote to it.",
  SOURCE_CHANGED: 'The source of a copy was replaced again and again while it was copied. Copy it again.',
  SERVER_VERSION:
    'The server speaks a version of its protocol that the SDK does not. Update the server, or the adapter.',
  SPAWN: 'The machine could not start another process. The attempt does not count.',
  TLS: "The server's certificate is not trusted, or it does not speak TLS. Install the authority, name the right host, or connect without TLS.",
  TOO_LARGE: 'The value does not fit into one array in memory. Read it in parts: `handle.rows()` or `handle.stream()`.',
  UNKNOWN_SCHEME: 'No adapter knows the scheme of this URL; the message lists those that are known.',
  UNREACHABLE:
    'The server cannot be reached or does not answer. Look whether it runs, whether its name is right, and whether a firewall stands between.',
  UPLOAD_SWEPT:
    'An upload lasted longer than the grace of a collection that ran meanwhile, which freed it. Nothing was stored; write it again, and let `gc` keep its grace.',
  VALUE_CHANGED: 'The value was changed while it was being saved. Wait until `save` has settled, and save again.',
  VALUE_REFUSED:
    'A value that cannot be stored: a function, a symbol, a class instance, a cycle, a number that may have been rounded. `path` names it.',
  WAIT_TIMEOUT: '`wait` reached its `timeout`; the message says how many tasks are left, and whether a runner has any.',
}

/** What the `error.code` of a task means, beside the codes of HubError. */
export const TASK_ERRORS: Readonly<Record<string, string>> = {
  CANCELLED: 'The task was cancelled, by `hub.tasks.cancel` or by deleting it.',
  INFRA:
    "The script's process was killed by a signal: out of memory, or from outside. Counted in `infra_failures` as well.",
  LEASE_EXPIRED:
    'The runner stopped sending heartbeats: it was killed, suspended, or cut off. Counted in `infra_failures` as well.',
  RELEASED: 'The runner was asked to stop. The task is pending again, and the attempt does not count.',
  RESULT_INVALID: 'A result cannot be stored. Save large things with `task.hub`, and return numbers and strings.',
  RESULT_MISSING: 'The script did not return a key of `savedResultKeys`. What it did return is kept.',
  SCRIPT_ERROR: 'The script threw; message and stack are its own.',
  SCRIPT_EXIT: 'The process ended before the script gave a result: `process.exit`, or an event loop that ran dry.',
  SCRIPT_HASH: 'The script was altered in the store; it does not run, and is not tried again.',
}
