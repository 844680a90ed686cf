/** What the catalog knows of changes that somebody is still to hear of (docs/formats/object_records.md). */
import protobuf from 'protobufjs';

import { idText } from './keys.js';
import { decode, encode, exact, number, record_version } from './records.js';

export const noticePrefix = 'notice/';

/**
 * How an object came or went, or what is said of it changed. `form`: put by a browser's form. `marked`: it is hidden by a delete marker. `test`: of none,
 * that there are such notices. `granted`: it has another ACL. The order is that of numbers at rest.
 */
export const noticeKinds = [
  'put',
  'form',
  'copy',
  'upload',
  'removed',
  'marked',
  'expired',
  'expired-marked',
  'test',
  'tagged',
  'untagged',
  'granted',
] as const;
export type NoticeKind = (typeof noticeKinds)[number];

export interface NoticeRecord {
  readonly kind: NoticeKind;
  /** That of the bucket's rules which wants it told. */
  readonly rule: string;
  readonly bucket: string;
  /** Whose the bucket is. */
  readonly account: number;
  /** '' of a test. */
  readonly key: string;
  /** '' in a bucket that was never versioned. */
  readonly versionId: string;
  readonly bytes: number;
  readonly etag: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** Who asked for it: id of a user, address, id of the request; '' where nobody did, or nobody knows. */
  readonly requester: string;
  readonly address: string;
  readonly requestId: string;
}

const type = protobuf.Root.fromJSON({
  nested: {
    Notice: {
      fields: {
        version: { type: 'uint32', id: 1 },
        kind: { type: 'uint32', id: 2 },
        rule: { type: 'string', id: 3 },
        bucket: { type: 'string', id: 4 },
        account: { type: 'uint64', id: 5 },
        key: { type: 'string', id: 6 },
        versionId: { type: 'string', id: 7 },
        bytes: { type: 'uint64', id: 8 },
        etag: { type: 'string', id: 9 },
        at: { type: 'uint64', id: 10 },
        requester: { type: 'string', id: 11 },
        address: { type: 'string', id: 12 },
        requestId: { type: 'string', id: 13 },
      },
    },
  },
}).lookupType('Notice');

/** Of all that one receiver is still to hear of, the oldest first. */
export function noticesPrefix(receiver: string): string {
  return `${noticePrefix}${receiver}/`;
}

/** `id`: never reused, and larger than that of every earlier notice of the same object. */
export function noticeKey(receiver: string, id: number): string {
  return `${noticesPrefix(receiver)}${idText(id)}`;
}

export function encodeNotice(record: NoticeRecord): Uint8Array {
  for (const field of ['account', 'bytes', 'at'] as const) exact(record[field], field);
  return encode(type, { ...record, kind: number(noticeKinds, record.kind), version: record_version });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeNotice(data: Uint8Array): NoticeRecord {
  const fields = decode(type, data, 'notice');
  return {
    kind: fields.choice('kind', noticeKinds),
    rule: fields.text('rule'),
    bucket: fields.text('bucket'),
    account: fields.number('account'),
    key: fields.text('key'),
    versionId: fields.text('versionId'),
    bytes: fields.number('bytes'),
    etag: fields.text('etag'),
    at: fields.number('at'),
    requester: fields.text('requester'),
    address: fields.text('address'),
    requestId: fields.text('requestId'),
  };
}
