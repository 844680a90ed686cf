import { beforeAll, describe, expect, it } from 'vitest';

import { bucketAcl, encodeAcl, parseAcl } from '../../../../src/northbound/s3/acl_document.ts';
import { readDocument, writeDocument, type DocumentKind } from '../../../../src/northbound/s3/bucket_documents.ts';
import { corsDocument } from '../../../../src/northbound/s3/cors_document.ts';
import { defaultEncryption } from '../../../../src/northbound/s3/encryption_configuration.ts';
import { lifecycleDocument } from '../../../../src/northbound/s3/lifecycle_document.ts';
import { notificationDocument } from '../../../../src/northbound/s3/notification_document.ts';
import { ownershipDocument } from '../../../../src/northbound/s3/object_ownership.ts';
import { publicAccessDocument } from '../../../../src/northbound/s3/public_access.ts';
import { ObjectWorld } from '../../../harness/object_world.ts';

let world: ObjectWorld;
beforeAll(async () => {
  world = await ObjectWorld.open();
  await world.layer.buckets.create({ name: 'bucket', account: 1, pool: 'default' });
});

const id = 'ab'.repeat(32);
const acl =
  `{"version":1,"owner":"${id}","grants":[{"grantee":{"kind":"account","canonicalId":"${id}"},"permission":"FULL_CONTROL"},` +
  '{"grantee":{"kind":"group","group":"AllUsers"},"permission":"READ"}]}';

/** As docs/formats/bucket_documents.md has them: what was written once is read for ever. */
const golden: readonly (readonly [kind: DocumentKind<unknown>, text: string])[] = [
  [ownershipDocument, '{"version":1,"document":"BucketOwnerPreferred"}'],
  [
    publicAccessDocument,
    '{"version":1,"document":{"blockPublicAcls":true,"ignorePublicAcls":false,"blockPublicPolicy":true,"restrictPublicBuckets":false}}',
  ],
  [
    corsDocument,
    '{"version":1,"document":[{"id":null,"origins":["*"],"methods":["GET"],"headers":["x-*"],"exposed":["etag"],"maxAgeSeconds":60}]}',
  ],
  [
    lifecycleDocument,
    '{"version":1,"document":[{"form":"and","rule":{"id":"r","enabled":true,"filter":{"prefix":"p","tags":{"k":"v"},"bytesAbove":1,"bytesBelow":9},' +
      '"expiration":{"at":1893456000000},"noncurrent":{"days":2,"kept":3},"abortDays":4}}]}',
  ],
  [
    notificationDocument,
    '{"version":1,"document":[{"kind":"queue","id":"r","webhook":"indexer","events":["s3:ObjectCreated:*"],"prefix":"p","suffix":""}]}',
  ],
];

describe('documents of buckets', () => {
  it.each(golden)('%j is read and written as the format says', async (kind, text) => {
    await world.layer.buckets.setDocument('bucket', kind.kind, Buffer.from(text));
    const document = await readDocument(world.layer.buckets, 'bucket', kind);
    await writeDocument(world.layer.buckets, 'bucket', kind, document);
    expect(Buffer.from((await world.layer.buckets.document('bucket', kind.kind)) ?? []).toString()).toBe(text);
  });

  it('a list is read and written as the format says', async () => {
    expect(encodeAcl(parseAcl(acl))).toBe(acl);
    await world.layer.buckets.setDocument('bucket', 'acl', Buffer.from(acl));
    expect(await bucketAcl(world.layer.buckets, 'bucket')).toBe(acl);
  });

  it.each([
    ['{}', 'corrupt'],
    ['', 'corrupt'],
    ['{"version":1,"document":{"algorithm":"ROT13","keyId":null,"bucketKey":null}}', 'corrupt'],
    ['{"version":2,"document":"anything"}', 'unsupported'],
  ])('%s is not taken for none', async (text, code) => {
    await world.layer.buckets.setDocument('bucket', 'encryption', Buffer.from(text));
    await expect(defaultEncryption(world.layer.buckets, 'bucket')).rejects.toMatchObject({ code });
  });

  it.each(['{', '{"version":2,"owner":"","grants":[]}', acl.replace('READ', 'EVERYTHING'), acl.replace(id, 'me')])(
    'a list %s is not taken for none',
    (text) => {
      expect(() => parseAcl(text)).toThrow(expect.objectContaining({ code: 'corrupt' }));
    },
  );
});
