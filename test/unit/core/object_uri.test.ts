import { expect, it } from 'vitest';

import { isObjectUri, parseObjectUri } from '../../../src/core/object_uri.js';

it('an object is named by bucket and key, which may hold slashes and question marks', () => {
  expect(parseObjectUri('s3://images/debian.raw')).toEqual({ bucket: 'images', key: 'debian.raw' });
  expect(parseObjectUri('s3://images/a/b//c?d%20 e')).toEqual({ bucket: 'images', key: 'a/b//c?d%20 e' });
  expect(isObjectUri('s3://images/debian.raw')).toBe(true);
  expect(isObjectUri('debian-12')).toBe(false);
});

it('a version stands behind the key', () => {
  expect(parseObjectUri('s3://images/debian.raw?versionId=null')).toEqual({
    bucket: 'images',
    key: 'debian.raw',
    versionId: 'null',
  });
  expect(parseObjectUri('s3://b/k?versionId=1?versionId=2')).toEqual({ bucket: 'b', key: 'k?versionId=1', versionId: '2' });
});

it.each(['s3://', 's3:///key', 's3://bucket', 's3://bucket/', 's3://bucket/?versionId=1', 's3://bucket/key?versionId=', 'vm1'])(
  '%s names no object',
  (text) => {
    expect(() => parseObjectUri(text)).toThrow(/names no object: .+ Write s3:\/\/BUCKET\/KEY/);
  },
);
