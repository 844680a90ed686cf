import { describe, expect, test } from 'vitest';

import { S3Endpoint } from '../harness/s3_endpoint.ts';
import { law_account, objectLaws } from './object_laws.js';
import { s3ObjectStore } from './s3_object_store.ts';

/** What no client of S3 can say. */
const others = new Set([
  // A client that tells a length keeps to it, or has no connection any more: server.test.ts has such.
  'a body that is shorter or longer than announced is refused, and nothing of it is there',
  // A head of a request has no 50,000 characters.
  'a list may begin after what is longer than any key, and ask for what no key begins with',
  // DeleteBucket ends uploads, which are no objects; and in us-east-1 CreateBucket succeeds for whom the bucket belongs to.
  'a bucket is not removed while an upload into it is under way',
  'who makes a bucket again is told that it is theirs',
]);

describe('the object layer through S3', () => {
  test('the laws that are left out are laws', () => {
    const titles = new Set(objectLaws.map(({ title }) => title));
    expect([...others].filter((title) => !titles.has(title))).toEqual([]);
  });

  for (const law of objectLaws.filter(({ title }) => !others.has(title))) {
    test(law.title, async () => {
      const endpoint = await S3Endpoint.start({ partBytesMin: 1 });
      try {
        const client = async (name: string) =>
          endpoint.client(await endpoint.account(name), { requestChecksumCalculation: 'WHEN_REQUIRED' });
        const store = s3ObjectStore(
          new Map([
            [law_account, await client('alice')],
            [law_account + 1, await client('bob')],
          ]),
          endpoint.world.layer,
        );
        await store.buckets.create({ name: 'bucket', account: law_account, pool: 'default' });
        await law.check(store, 'bucket');
        const { layer } = endpoint.world;
        await layer.takeBack();
        expect(await endpoint.world.audit()).toEqual([]);
        expect(endpoint.complaints).toEqual([]);
      } finally {
        await endpoint.stop();
      }
    });
  }
});
