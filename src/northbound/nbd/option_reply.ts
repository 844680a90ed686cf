/** Bytes of the server's messages in the handshake. All integers are big-endian. */
import {
  block_bytes_min,
  block_bytes_preferred,
  export_name_zeroes_bytes,
  greetingMagic,
  handshakeFlag,
  info,
  optionMagic,
  payload_bytes_max,
  reply,
  replyMagic,
  string_bytes_max,
} from './protocol.js';

export function greeting(): Uint8Array {
  const message = Buffer.alloc(18);
  message.writeBigUInt64BE(greetingMagic, 0);
  message.writeBigUInt64BE(optionMagic, 8);
  message.writeUInt16BE(handshakeFlag.fixedNewstyle | handshakeFlag.noZeroes, 16);
  return message;
}

/** What answers EXPORT_NAME; transmission follows at once. */
export function exportNameAnswer(answer: {
  readonly sizeBytes: number;
  readonly flags: number;
  readonly zeroes: boolean;
}): Uint8Array {
  const message = Buffer.alloc(10 + (answer.zeroes ? export_name_zeroes_bytes : 0));
  message.writeBigUInt64BE(BigInt(answer.sizeBytes), 0);
  message.writeUInt16BE(answer.flags, 8);
  return message;
}

/** One reply to an option. An error's data is a sentence for the user of the client. */
export function optionReply(option: number, type: number, data: Uint8Array | string = ''): Uint8Array {
  const body = typeof data === 'string' ? Buffer.from(shorten(data), 'utf8') : data;
  const message = Buffer.alloc(20 + body.length);
  message.writeBigUInt64BE(replyMagic, 0);
  message.writeUInt32BE(option, 8);
  message.writeUInt32BE(type, 12);
  message.writeUInt32BE(body.length, 16);
  message.set(body, 20);
  return message;
}

export function serverReply(option: number, entry: { readonly name: string; readonly description: string }): Uint8Array {
  const name = Buffer.from(entry.name, 'utf8');
  const length = Buffer.alloc(4);
  length.writeUInt32BE(name.length);
  return optionReply(option, reply.server, Buffer.concat([length, name, Buffer.from(shorten(entry.description), 'utf8')]));
}

export function exportInfo(option: number, answer: { readonly sizeBytes: number; readonly flags: number }): Uint8Array {
  const data = Buffer.alloc(12);
  data.writeUInt16BE(info.export, 0);
  data.writeBigUInt64BE(BigInt(answer.sizeBytes), 2);
  data.writeUInt16BE(answer.flags, 10);
  return optionReply(option, reply.info, data);
}

export function textInfo(option: number, type: number, text: string): Uint8Array {
  const head = Buffer.alloc(2);
  head.writeUInt16BE(type);
  return optionReply(option, reply.info, Buffer.concat([head, Buffer.from(shorten(text), 'utf8')]));
}

export function blockSizeInfo(option: number): Uint8Array {
  const data = Buffer.alloc(14);
  data.writeUInt16BE(info.blockSize, 0);
  data.writeUInt32BE(block_bytes_min, 2);
  data.writeUInt32BE(block_bytes_preferred, 6);
  data.writeUInt32BE(payload_bytes_max, 10);
  return optionReply(option, reply.info, data);
}

export function metaContextReply(option: number, id: number, name: string): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(id);
  return optionReply(option, reply.metaContext, Buffer.concat([head, Buffer.from(name, 'utf8')]));
}

/** Strings of the protocol have at most 4096 bytes; a character has at most four of them in UTF-8. */
function shorten(text: string): string {
  return text.length * 4 <= string_bytes_max ? text : text.slice(0, string_bytes_max / 4);
}
