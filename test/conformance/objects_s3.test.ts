import { describe, expect, test } from 'vitest';

import { S3Endpoint } from '../harness/s3_endpoint.ts';
import { objectLaws } from './object_laws.js';
import { s3ObjectStore } from './s3_object_store.ts';

/** Of what no client of S3 can say, or see. */
const others = new Set([
  'a body whose length nobody told is whole',
  'a body that is shorter or longer than announced is refused, and nothing of it is there',
  // Tags and documents are told by operations of their own.
  'what is said of an object comes back, in any script',
  'tags and documents change without a new version',
  // Its accounts are numbers that nobody has a key of.
  'a name belongs to one bucket, and its maker is told so',
  'a version that is kept is not removed before its time, nor what is under legal hold',
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
        const client = endpoint.client(await endpoint.account('alice'), { requestChecksumCalculation: 'WHEN_REQUIRED' });
        const { id } = await endpoint.identity.accounts.get('alice');
        const { layer } = endpoint.world;
        await layer.buckets.create({ name: 'bucket', account: id, pool: 'default' });
        await law.check(s3ObjectStore(client, layer), 'bucket');
        await layer.takeBack();
        expect(await endpoint.world.audit()).toEqual([]);
        expect(endpoint.complaints).toEqual([]);
      } finally {
        await endpoint.stop();
      }
    });
  }
});
