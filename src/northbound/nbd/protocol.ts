/** Numbers of the NBD handshake (fixed newstyle), as github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md names them. */

export const greetingMagic = 0x4e42444d41474943n; // NBDMAGIC
export const optionMagic = 0x49484156454f5054n; // IHAVEOPT
export const replyMagic = 0x0003e889045565a9n;

export const handshakeFlag = { fixedNewstyle: 1 << 0, noZeroes: 1 << 1 } as const;
export const clientFlag = { fixedNewstyle: 1 << 0, noZeroes: 1 << 1 } as const;

export const option = {
  exportName: 1,
  abort: 2,
  list: 3,
  startTls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
} as const;

const error = (number: number): number => 2 ** 31 + number;

export const reply = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  unsupported: error(1),
  policy: error(2),
  invalid: error(3),
  tlsRequired: error(5),
  unknown: error(6),
  shutdown: error(7),
  tooBig: error(9),
} as const;

export const info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const transmissionFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  sendFlush: 1 << 2,
  sendFua: 1 << 3,
  sendTrim: 1 << 5,
  sendWriteZeroes: 1 << 6,
  sendDf: 1 << 7,
  canMultiConn: 1 << 8,
  sendCache: 1 << 10,
  sendFastZero: 1 << 11,
} as const;

export const client_flags_bytes = 4;
export const option_header_bytes = 16;
/** The zeroes after EXPORT_NAME's answer, for a client that did not negotiate NO_ZEROES. */
export const export_name_zeroes_bytes = 124;

/** The document's limit for any string. */
export const string_bytes_max = 4096;
/** Of one option; the engine reads no longer handshake message (kHandshakeMessageBytesMax of native/nbd/server.h). */
export const option_bytes_max = 65_536;
/** More options than any client has use for: what sends more only wants to be served for ever. */
export const options_per_connection_max = 256;
/** A longer list is answered with TOO_BIG: a client that knows the name does not need it. */
export const exports_listed_max = 16_384;

export const block_bytes_min = 1;
export const block_bytes_preferred = 4096;
/** kRequestBytesMax of native/nbd/server.h. */
export const payload_bytes_max = 32 * 1024 * 1024;

export const baseAllocationName = 'base:allocation';
export const baseNamespace = 'base:';
/** The id under which this server offers base:allocation on every connection. */
export const base_allocation_id = 1;

/** skerry:changed:SNAP says what changed since VOL@SNAP (docs/reference/nbd.md); the engine's flags are in native/nbd/wire.h. */
export const skerryNamespace = 'skerry:';
export const changedPrefix = 'skerry:changed:';
/** Those of a connection have the ids from here on, in the order they were asked for. */
export const changed_id_first = 2;
/** Of one connection; more are not set. */
export const changed_contexts_max = 16;
