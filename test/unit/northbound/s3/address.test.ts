import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { addressOf, hostName } from '../../../../src/northbound/s3/address.js';
import { isBucketName } from '../../../../src/northbound/s3/bucket_name.js';
import { checkObjectKey, urlEncodedKey } from '../../../../src/northbound/s3/object_key.js';
import { readRequest, request_head_bytes_max } from '../../../../src/northbound/s3/request.js';
import { failureOf, wire } from './world.js';

const domains = ['s3.example.org', 'example.org', 'localhost'];
const address = (host: string, target: string) => addressOf(readRequest(wire('GET', host, target)), { domains });
const path = (bucket: string | null, key: string | null = null) => ({ bucket, key, style: 'path' });
const virtual = (bucket: string, key: string | null = null) => ({ bucket, key, style: 'virtual-host' });

describe('an address', () => {
  test.each([
    ['s3.example.org', '/', path(null)],
    ['s3.example.org', '/photos', path('photos')],
    ['s3.example.org', '/photos/', path('photos')],
    ['s3.example.org', '/photos/a/b.jpg', path('photos', 'a/b.jpg')],
    ['photos.s3.example.org', '/', virtual('photos')],
    ['photos.s3.example.org', '/a/b.jpg', virtual('photos', 'a/b.jpg')],
    ['my.photos.s3.example.org', '/a', virtual('my.photos', 'a')],
    ['photos.example.org', '/a', virtual('photos', 'a')],
    ['PHOTOS.S3.Example.ORG:9000', '/A', virtual('photos', 'A')],
    ['photos.s3.example.org.', '/a', virtual('photos', 'a')],
    ['photos.localhost:9000', '/a', virtual('photos', 'a')],
    ['localhost:9000', '/photos/a', path('photos', 'a')],
    ['192.0.2.1', '/photos/a', path('photos', 'a')],
    ['192.0.2.1:9000', '/photos/a', path('photos', 'a')],
    ['[2001:db8::1]:9000', '/photos/a', path('photos', 'a')],
    ['[::1]', '/photos/a', path('photos', 'a')],
    ['storage', '/photos/a', path('photos', 'a')],
    ['elsewhere.net', '/photos/a', path('photos', 'a')],
    ['notexample.org', '/photos/a', path('photos', 'a')],
  ])('at %s, %s', (host, target, expected) => {
    expect(address(host, target)).toEqual(expected);
  });

  test.each([
    ['/photos//', '/'],
    ['/photos//a', '/a'],
    ['/photos/a//b/', 'a//b/'],
    ['/photos/./a/../b', './a/../b'],
    ['/photos/%2e%2E/a', '../a'],
    ['/photos/a+b', 'a+b'],
    ['/photos/a%20b%2Bc', 'a b+c'],
    ['/photos/%C3%A9', 'é'],
    ['/photos/\u00c3\u00a9', 'é'],
    ['/photos/%F0%9F%90%8B', '🐋'],
    ['/photos/%EF%BB%BFa', '\ufeffa'],
    ['/photos%2Fa%2fb', 'a/b'],
    ['/photos/%00', '\0'],
  ])('keeps the key of %s as it is meant', (target, key) => {
    expect(address('localhost', target)).toEqual(path('photos', key));
  });

  test.each(['/photos/%', '/photos/%4', '/photos/%zz', '/photos/%FF', '/photos/%C3', '/photos/%ED%A0%80'])(
    'does not decode from %s',
    async (target) => {
      await failureOf('InvalidURI', () => address('localhost', target));
    },
  );

  test.each(['//a', '/Photos/a', '/ph/a', '/photos..x/a', '/10.0.0.1/a', '/ph%C3%A9tos'])(
    'has no such bucket: %s',
    async (target) => {
      const { details } = await failureOf('InvalidBucketName', () => address('localhost', target));
      expect(details).toHaveProperty('BucketName');
    },
  );

  test.each(['.s3.example.org', 'a_b.s3.example.org', 'ab.s3.example.org', 'a..b.s3.example.org'])(
    'has no such host: %s',
    async (host) => {
      await failureOf('InvalidBucketName', () => address(host, '/a'));
    },
  );

  test.each(['', 'a b', 'a/b', '[::1', '[a]', 'user@host', 'a:b', 'a:1:2', 'é.org', '[::1]x'])(
    'is at no host that there can be: %s',
    (host) => {
      expect(hostName(host)).toBeNull();
    },
  );

  test('has a key of at most 1024 bytes', async () => {
    expect(address('localhost', `/photos/${'a'.repeat(1024)}`).key).toHaveLength(1024);
    expect(address('localhost', `/photos/${'%C3%A9'.repeat(512)}`).key).toHaveLength(512);
    const { details } = await failureOf('KeyTooLongError', () => address('localhost', `/photos/${'%C3%A9'.repeat(512)}a`));
    expect(details).toEqual({ Size: '1025', MaxSizeAllowed: '1024' });
    await failureOf('InvalidArgument', () => checkObjectKey(''));
  });
});

describe('a request', () => {
  test.each(['*', 'http://localhost/photos', 'photos/a', '', '/a b', '/a\tb', '/a#b', '/a?b#c', '/\u0141'])(
    'with the target %j is none',
    async (target) => {
      await failureOf('InvalidURI', () => readRequest(wire('GET', 'localhost', target)));
    },
  );

  test.each(['get', 'G ET', 'GET\n/', '', 'É'])('with the method %j is none', async (method) => {
    await failureOf('MethodNotAllowed', () => readRequest(wire(method, 'localhost', '/')));
  });

  test.each([
    ['a b', 'c'],
    ['a:b', 'c'],
    ['', 'c'],
    ['a\n', 'c'],
    ['a', 'b\nx-amz-acl:private'],
    ['a', 'b\0'],
    ['a', '\u0141'],
    ['a', 'b\rc'],
  ])('with the header %j: %j is none', async (name, value) => {
    await failureOf('InvalidRequest', () => readRequest(wire('GET', 'localhost', '/', [[name, value]])));
  });

  test('has a head of bounded size', async () => {
    const sized = (bytes: number) => wire('GET', 'h', '/', [['a', 'b'.repeat(bytes - '/'.length - 'Hosth'.length - 4 - 1 - 4)]]);
    expect(readRequest(sized(request_head_bytes_max)).headers.has('a')).toBe(true);
    await failureOf('RequestHeaderSectionTooLarge', () => readRequest(sized(request_head_bytes_max + 1)));
  });

  test('has headers whatever their case, as one list where they come more than once', () => {
    const { headers } = readRequest(
      wire('GET', 'h', '/', [
        ['X-A', ' one '],
        ['x-a', 'two\r\n\t three'],
        ['X-a', ''],
      ]),
    );
    expect(headers.get('x-a')).toBe('one,two three,');
    expect(headers.all('x-a')).toHaveLength(3);
    expect(headers.names()).toEqual(['host', 'x-a']);
    expect(headers.get('x-b')).toBeUndefined();
  });
});

test('a long run of spaces within a header costs no more than it is long', () => {
  const value = `a${' '.repeat(32_000)}b`;
  const { headers } = readRequest(wire('GET', 'h', '/', [['x-a', value]]));
  const started = performance.now();
  for (let count = 0; count < 50; count += 1) expect(headers.get('x-a')).toBe(value);
  // Tried from each of its spaces it would be 25 billion steps.
  expect(performance.now() - started).toBeLessThan(5000);
});

describe('a query', () => {
  const query = (text: string) => readRequest(wire('GET', 'h', `/?${text}`)).query;

  test('is decoded, its pluses are spaces, and empty parts are nothing', () => {
    expect(query('a=1&&b+c=d%20e+f%2Bg&acl&x=&=y&').parameters).toEqual([
      { name: 'a', value: '1', hasValue: true },
      { name: 'b c', value: 'd e f+g', hasValue: true },
      { name: 'acl', value: '', hasValue: false },
      { name: 'x', value: '', hasValue: true },
      { name: '', value: 'y', hasValue: true },
    ]);
    expect(query('a=b=c?d').get('a')).toBe('b=c?d');
    expect(query('').parameters).toEqual([]);
  });

  test('has a parameter once, or says so', async () => {
    expect(query('a=1&a=2').all('a')).toEqual(['1', '2']);
    expect(query('a=1').get('b')).toBeUndefined();
    await failureOf('InvalidArgument', () => query('a=1&%61=2').get('a'));
  });

  test('is in order of what is encoded, names first', () => {
    expect(query('b=2&a=2&a=1&a%20b=3&a-=4&A=5&ab&%C3%A9=6').canonical()).toBe('%C3%A9=6&A=5&a=1&a=2&a%20b=3&a-=4&ab=&b=2');
    expect(query('b=1&X-Amz-Signature=2').canonical('X-Amz-Signature')).toBe('b=1');
  });

  test.each(['a=%', 'a=%F', '%FF=1', 'a=%C3'])('does not decode: %s', async (text) => {
    await failureOf('InvalidURI', () => query(text));
  });
});

test('a bucket has a name that can stand in a host', () => {
  const good = [
    'abc',
    'a.b',
    '123',
    'a-b',
    'a--b',
    '1.2.3',
    '1.2.3.4.5',
    'my.bucket.name',
    'a'.repeat(63),
    '192.168.5',
    '0x1.2.3.4',
  ];
  const bad = [
    '',
    'ab',
    'a'.repeat(64),
    'Abc',
    'a_b',
    'a b',
    'abc.',
    '.abc',
    '-abc',
    'abc-',
    'a..b',
    'a.-b',
    'a-.b',
    '192.168.5.4',
    'äbc',
    'a/b',

    'xn--abc',
    'sthree-abc',
    'amzn-s3-demo-x',
    'abc-s3alias',
    'abc--ol-s3',
    'abc.mrap',
    'abc--x-s3',
    'abc--table-s3',
    'abc\n',
  ];
  expect(good.filter((name) => !isBucketName(name))).toEqual([]);
  expect(bad.filter(isBucketName)).toEqual([]);
});

test('a key in a list that is url-encoded decodes to itself, with pluses as spaces or not', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 20 }), (key) => {
      const encoded = urlEncodedKey(key);
      expect(encoded).toMatch(/^[A-Za-z0-9\-._~/%]*$/);
      expect(decodeURIComponent(encoded)).toBe(key);
      expect(decodeURIComponent(encoded.replaceAll('+', ' '))).toBe(key);
    }),
  );
  expect(urlEncodedKey('a b+c/é~\0')).toBe('a%20b%2Bc/%C3%A9~%00');
});

test('a key that a client encodes comes out as it was', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), (key) => {
      expect(address('localhost', `/photos/${urlEncodedKey(key)}`)).toEqual(path('photos', key));
      expect(address('photos.localhost', `/${urlEncodedKey(key)}`)).toEqual(virtual('photos', key));
    }),
  );
});
