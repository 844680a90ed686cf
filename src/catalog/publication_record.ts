/** What the catalog knows of buckets that show resources as objects (docs/formats/object_records.md). */
import protobuf from 'protobufjs';

import { decode, encode, exact, record_version } from './records.js';

export const publicationPrefix = 'publication/';

export interface PublicationRecord {
  readonly bucket: string;
  readonly account: number;
  readonly pool: string;
  /** Whose snapshots are shown, by its id; 0: images are. */
  readonly volume: number;
  /** It is being taken back: its objects go, and then its bucket. */
  readonly ending: boolean;
}

const type = protobuf.Root.fromJSON({
  nested: {
    Publication: {
      fields: {
        version: { type: 'uint32', id: 1 },
        bucket: { type: 'string', id: 2 },
        account: { type: 'uint64', id: 3 },
        pool: { type: 'string', id: 4 },
        volume: { type: 'uint64', id: 5 },
        ending: { type: 'bool', id: 6 },
      },
    },
  },
}).lookupType('Publication');

export function publicationKey(bucket: string): string {
  return `${publicationPrefix}${bucket}`;
}

export function encodePublication(record: PublicationRecord): Uint8Array {
  for (const field of ['account', 'volume'] as const) exact(record[field], field);
  return encode(type, { ...record, version: record_version });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodePublication(data: Uint8Array): PublicationRecord {
  const fields = decode(type, data, 'publication');
  return {
    bucket: fields.text('bucket'),
    account: fields.number('account'),
    pool: fields.text('pool'),
    volume: fields.number('volume'),
    ending: fields.flag('ending'),
  };
}
