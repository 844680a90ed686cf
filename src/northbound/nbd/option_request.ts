/** Data of client options, parsed to the last byte. null is what the document calls syntactically invalid. */
import { string_bytes_max } from './protocol.js';

/** NBD_OPT_INFO and NBD_OPT_GO. */
export interface InfoRequest {
  readonly name: string;
  /** NBD_INFO_* the client asks for; unknown ones included. */
  readonly information: ReadonlySet<number>;
}

/** NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export interface MetaContextRequest {
  readonly name: string;
  readonly queries: readonly string[];
}

export function parseInfoRequest(data: Uint8Array): InfoRequest | null {
  const reader = new Reader(data);
  const name = reader.string();
  const count = reader.uint16();
  if (name === null || count === null || reader.remaining !== count * 2) return null;
  const information = new Set<number>();
  for (let index = 0; index < count; index += 1) information.add(reader.uint16() ?? 0);
  return { name, information };
}

export function parseMetaContextRequest(data: Uint8Array): MetaContextRequest | null {
  const reader = new Reader(data);
  const name = reader.string();
  const count = reader.uint32();
  // Each query takes at least its length field, so the count cannot make this loop longer than the data.
  if (name === null || count === null || reader.remaining < count * 4) return null;
  const queries: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const query = reader.string();
    if (query === null) return null;
    queries.push(query);
  }
  return reader.remaining === 0 ? { name, queries } : null;
}

/** A string as the document wants it: UTF-8 without NUL, at most 4096 bytes. */
export function parseString(data: Uint8Array): string | null {
  if (data.length > string_bytes_max) return null;
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(data);
  } catch {
    return null;
  }
  return text.includes('\0') ? null : text;
}

class Reader {
  readonly #data: Uint8Array;
  readonly #view: DataView;
  #offset = 0;

  constructor(data: Uint8Array) {
    this.#data = data;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get remaining(): number {
    return this.#data.length - this.#offset;
  }

  uint16(): number | null {
    if (this.remaining < 2) return null;
    this.#offset += 2;
    return this.#view.getUint16(this.#offset - 2);
  }

  uint32(): number | null {
    if (this.remaining < 4) return null;
    this.#offset += 4;
    return this.#view.getUint32(this.#offset - 4);
  }

  /** A 32-bit length, then that many bytes. */
  string(): string | null {
    const length = this.uint32();
    if (length === null || length > this.remaining) return null;
    this.#offset += length;
    return parseString(this.#data.subarray(this.#offset - length, this.#offset));
  }
}
