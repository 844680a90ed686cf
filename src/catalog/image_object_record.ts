/** What the catalog knows of images that are objects of ordinary buckets (docs/formats/object_records.md). */
import protobuf from 'protobufjs';

import { idText } from './keys.js';
import { decode, encode, exact, record_version } from './records.js';

export const imageObjectPrefix = 'image-object/';

export interface ImageObjectRecord {
  readonly account: number;
  readonly bucket: string;
  /** As which it was put; '' where it is still to be. */
  readonly key: string;
  /** Id of the version that was made; 0 where it is still to be. */
  readonly object: number;
}

const type = protobuf.Root.fromJSON({
  nested: {
    ImageObject: {
      fields: {
        version: { type: 'uint32', id: 1 },
        account: { type: 'uint64', id: 2 },
        bucket: { type: 'string', id: 3 },
        key: { type: 'string', id: 4 },
        object: { type: 'uint64', id: 5 },
      },
    },
  },
}).lookupType('ImageObject');

/** By the image's resource id. */
export function imageObjectKey(image: number): string {
  return `${imageObjectPrefix}${idText(image)}`;
}

export function encodeImageObject(record: ImageObjectRecord): Uint8Array {
  for (const field of ['account', 'object'] as const) exact(record[field], field);
  return encode(type, { ...record, version: record_version });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeImageObject(data: Uint8Array): ImageObjectRecord {
  const fields = decode(type, data, 'image object');
  return {
    account: fields.number('account'),
    bucket: fields.text('bucket'),
    key: fields.text('key'),
    object: fields.number('object'),
  };
}
