/** Lists on the wire: what stands in their documents, what is refused, and who may ask. */
import {
  CreateBucketCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  type S3Client,
} from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { rows_per_page_max } from '../../../../src/object/listing.ts';
import { once } from '../../../harness/object_world.ts';
import { S3Endpoint } from '../../../harness/s3_endpoint.ts';
import { S3Requests, type PlainAnswer } from '../../../harness/s3_requests.ts';

let endpoint: S3Endpoint;
let requests: S3Requests;
let client: S3Client;
let owner: { readonly id: number; readonly canonicalId: string };

beforeAll(async () => {
  endpoint = await S3Endpoint.start();
  const key = await endpoint.account('alice');
  requests = new S3Requests(endpoint.address, key);
  client = endpoint.client(key);
  owner = await endpoint.identity.accounts.get('alice');
});
afterAll(async () => {
  expect(endpoint.complaints).toEqual([]);
  await endpoint.stop();
});

async function bucketOf(name: string, keys: readonly string[]): Promise<void> {
  await endpoint.world.layer.buckets.create({ name, account: owner.id, pool: 'default' });
  for (const key of keys) await put(name, key);
}

function put(bucket: string, key: string) {
  const expected = { checksum: { algorithm: 'CRC32' } } as const;
  return endpoint.world.layer.objects.put({
    bucket,
    key,
    content: once('abc'),
    bytes: 3,
    attributes: { owner: owner.id },
    expected,
  });
}

function list(bucket: string, query: Readonly<Record<string, string>> = {}): Promise<PlainAnswer> {
  return requests.send({ method: 'GET', path: `/${bucket}`, query });
}

const code = ({ body }: PlainAnswer): string => /<Code>(.*)<\/Code>/.exec(body)?.[1] ?? '';
const without = (text: string): string => text.replace(/<LastModified>[^<]*<\/LastModified>/g, '');

describe('a list of objects', () => {
  test('tells of each what HEAD tells, in whole seconds', async () => {
    await bucketOf('told', ['a/b', 'c']);
    const { modifiedAt } = await endpoint.world.layer.objects.head({ bucket: 'told', key: 'c' });
    const { status, headers, body } = await list('told', { delimiter: '/' });
    expect(status).toBe(200);
    expect(headers['content-type']).toBe('application/xml');
    const time = new Date(Math.floor(modifiedAt / 1000) * 1000).toISOString();
    expect(body).toContain(`<LastModified>${time}</LastModified>`);
    expect(without(body)).toBe(
      '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
        '<Name>told</Name><Prefix/><Marker/><MaxKeys>1000</MaxKeys><Delimiter>/</Delimiter><IsTruncated>false</IsTruncated>' +
        '<Contents><Key>c</Key><ETag>&quot;900150983cd24fb0d6963f7d28e17f72&quot;</ETag>' +
        '<ChecksumAlgorithm>CRC32</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType><Size>3</Size>' +
        `<StorageClass>STANDARD</StorageClass><Owner><ID>${owner.canonicalId}</ID><DisplayName>alice</DisplayName></Owner></Contents>` +
        '<CommonPrefixes><Prefix>a/</Prefix></CommonPrefixes></ListBucketResult>',
    );
  });

  test('of the second version tells owners to who asks for them', async () => {
    await bucketOf('owned', ['a', 'b']);
    const plain = await list('owned', { 'list-type': '2', 'max-keys': '1' });
    expect(plain.body).not.toContain('<Owner>');
    expect(plain.body).toContain('<KeyCount>1</KeyCount>');
    expect(plain.body).toContain('<IsTruncated>true</IsTruncated>');
    const fetched = await list('owned', { 'list-type': '2', 'fetch-owner': 'true' });
    expect(fetched.body.split(`<ID>${owner.canonicalId}</ID>`).length).toBe(3);
    expect(fetched.body).toContain('<KeyCount>2</KeyCount>');
  });

  test('gives names encoded where XML cannot carry one, though nobody asked for it', async () => {
    await bucketOf('strange', ['a b', 'a\u0001']);
    const strange = await list('strange');
    expect(strange.body).toContain('<EncodingType>url</EncodingType>');
    expect(strange.body).toContain('<Key>a%20b</Key>');
    expect(strange.body).toContain('<Key>a%01</Key>');
    const plain = await list('strange', { prefix: 'a ' });
    expect(plain.body).not.toContain('EncodingType');
    expect(plain.body).toContain('<Key>a b</Key>');
  });

  test('has no keys where none are wanted, and at most a thousand', async () => {
    await bucketOf('many', ['a']);
    const none = await list('many', { 'max-keys': '0' });
    expect(none.body).toContain('<MaxKeys>0</MaxKeys><IsTruncated>false</IsTruncated></ListBucketResult>');
    expect((await list('many', { 'max-keys': '5000' })).body).toContain('<MaxKeys>1000</MaxKeys>');
    expect((await list('many', { 'max-keys': '' })).body).toContain('<MaxKeys>1000</MaxKeys>');
  });

  test.each([
    ['max-keys', 'blah'],
    ['max-keys', '-1'],
    ['max-keys', '2147483648'],
    ['encoding-type', 'base64'],
    ['list-type', '3'],
  ])('is refused for %s=%s', async (name, value) => {
    const answer = await list('many', { [name]: value });
    expect([answer.status, code(answer)]).toEqual([400, 'InvalidArgument']);
  });

  test('goes on over what was removed, be a page of it empty', async () => {
    await bucketOf('emptied', []);
    const { buckets, objects } = endpoint.world.layer;
    await buckets.set('emptied', { versioning: 'enabled' });
    for (let at = 0; at <= rows_per_page_max; at += 1)
      await objects.remove({ bucket: 'emptied', key: `a&b/${String(at).padStart(6, '0')}`, owner: owner.id });
    await put('emptied', 'left');
    const found: [number, ...(string | undefined)[]][] = [];
    for await (const { KeyCount = 0, Contents = [] } of paginateListObjectsV2({ client }, { Bucket: 'emptied' }))
      found.push([KeyCount, ...Contents.map(({ Key }) => Key)]);
    expect(found).toEqual([[0], [1, 'left']]);
    // Of the first version clients take an empty page for the last.
    const page = await client.send(new ListObjectsCommand({ Bucket: 'emptied', MaxKeys: 1 }));
    expect([page.Contents?.map(({ Key }) => Key), page.IsTruncated]).toEqual([['left'], false]);
    await put('emptied', 'a');
    const first = await client.send(new ListObjectsCommand({ Bucket: 'emptied' }));
    expect(first.Contents?.map(({ Key }) => Key)).toEqual(['a']);
    expect(first).toMatchObject({ IsTruncated: true, NextMarker: `a&b/${String(rows_per_page_max - 2).padStart(6, '0')}` });
    const second = await client.send(new ListObjectsCommand({ Bucket: 'emptied', Marker: first.NextMarker! }));
    expect([second.Contents?.map(({ Key }) => Key), second.IsTruncated]).toEqual([['left'], false]);
  });

  test('is refused for a token that nobody gave', async () => {
    const answer = await list('many', { 'list-type': '2', 'continuation-token': 'AAECAwQFBgcICQoL' });
    expect([answer.status, code(answer)]).toEqual([400, 'InvalidArgument']);
    const empty = await list('many', { 'list-type': '2', 'continuation-token': '' });
    expect(empty.body).toContain('<ContinuationToken/>');
  });
});

describe('a list of versions', () => {
  test('goes on within a key, and not without one', async () => {
    await bucketOf('versions', []);
    await endpoint.world.layer.buckets.set('versions', { versioning: 'enabled' });
    const { versionId: first } = await put('versions', 'key');
    await put('versions', 'key');
    const page = await list('versions', { versions: '', 'max-keys': '1' });
    expect(page.body).toContain('<NextKeyMarker>key</NextKeyMarker>');
    const [, next = ''] = /<NextVersionIdMarker>(.*)<\/NextVersionIdMarker>/.exec(page.body) ?? [];
    const rest = await list('versions', { versions: '', 'key-marker': 'key', 'version-id-marker': next });
    expect(rest.body).toContain(`<VersionId>${first}</VersionId><IsLatest>false</IsLatest>`);
    const lost = await list('versions', { versions: '', 'version-id-marker': next });
    expect([lost.status, code(lost)]).toEqual([400, 'InvalidArgument']);
    const bad = await list('versions', { versions: '', 'key-marker': 'key', 'version-id-marker': 'none' });
    expect([bad.status, code(bad)]).toEqual([400, 'InvalidArgument']);
  });

  test('calls what is in a bucket without versions null', async () => {
    await bucketOf('plain', ['key']);
    expect((await list('plain', { versions: '' })).body).toContain('<VersionId>null</VersionId><IsLatest>true</IsLatest>');
  });
});

describe('who may list', () => {
  test('is the owner, and who the bucket’s list lets', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'private' }));
    await client.send(new CreateBucketCommand({ Bucket: 'public', ACL: 'public-read' }));
    await put('public', 'seen');
    const bob = endpoint.client(await endpoint.account('bob'));
    const nobody = new S3Requests(endpoint.address, null);
    const others = ['versions', 'uploads', 'list-type'].map((name) => ({ [name]: name === 'list-type' ? '2' : '' }));
    for (const query of [{}, ...others]) {
      const refused = await nobody.send({ method: 'GET', path: '/private', query });
      expect([refused.status, code(refused)]).toEqual([403, 'AccessDenied']);
      expect((await nobody.send({ method: 'GET', path: '/public', query })).status).toBe(200);
    }
    await expect(bob.send(new ListObjectsV2Command({ Bucket: 'private' }))).rejects.toMatchObject({ name: 'AccessDenied' });
    expect((await bob.send(new ListObjectsV2Command({ Bucket: 'public' }))).Contents?.[0]?.Key).toBe('seen');
    const missing = await nobody.send({ method: 'GET', path: '/no-such-bucket' });
    expect([missing.status, code(missing)]).toEqual([404, 'NoSuchBucket']);
  });
});
