import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { engineOptions, resolveConfig, settingNames, type Config, type ServeOptions } from '../../../src/daemon/config.js';
import { readWebhooks } from '../../../src/daemon/webhooks.js';
import { packageRoot } from '../../../src/engine/engine.js';
import { temporaryDirectory } from '../temporary_directory.js';

const MiB = 1 << 20;

test('the defaults are those of the memory ceiling', () => {
  const config = resolveConfig({ dataDirectory: '/data' });
  expect(config).toMatchObject({
    ringBytes: 64 * MiB,
    overlayBytesMax: 192 * MiB,
    nodeCacheBytesMax: 64 * MiB,
    nbdBufferBytesMax: 128 * MiB,
    httpPort: 7480,
  });
  expect(config).toMatchObject({ nbdSocket: '/data/nbd.sock', adminSocket: '/data/admin.sock', salvageJournal: false });
  expect(Object.isFrozen(config)).toBe(true);
  expect(engineOptions(config, 'skerry-x')).toMatchObject({
    directory: '/data/engine',
    ringName: 'skerry-x',
    segmentBytes: 32 * MiB,
  });
});

test('options of the command win over the file, the file over defaults', () => {
  const configFile = join(temporaryDirectory(), 'skerry.json');
  writeFileSync(configFile, JSON.stringify({ httpPort: 1, overlayBytesMax: '64M', nbdListen: '127.0.0.1:10809' }));
  const config = resolveConfig({ dataDirectory: '/data', configFile, httpPort: '2' });
  expect(config).toMatchObject({ httpPort: 2, overlayBytesMax: 64 * MiB, nbdListen: { host: '127.0.0.1', port: 10_809 } });
});

test('with a certificate TLS is required unless it is said otherwise, and paths are absolute', () => {
  const files = { nbdTlsCertificate: '/etc/server.pem', nbdTlsKey: 'server.key' };
  expect(resolveConfig({}).nbdTls).toBeNull();
  expect(resolveConfig(files).nbdTls).toEqual({
    certificate: '/etc/server.pem',
    key: join(process.cwd(), 'server.key'),
    clientCa: null,
    mode: 'required',
  });
  expect(resolveConfig({ ...files, nbdTlsMode: 'optional', nbdTlsClientCa: '/ca.pem' }).nbdTls).toMatchObject({
    clientCa: '/ca.pem',
    mode: 'optional',
  });
  expect(resolveConfig({ ...files, nbdTlsMode: 'off' }).nbdTls).toBeNull();
});

test('parts of memory that do not fit under the ceiling are refused, with both ways out', () => {
  expect(resolveConfig({}).memoryBytesMax).toBe(1 << 30);
  expect(() => resolveConfig({ overlayBytesMax: '300M' })).toThrow(
    /overlayBytesMax 300M, .* and 432M for all else, are together 1\.05G; lower one of them, or allow as much by memoryBytesMax \(1G\)/,
  );
  expect(resolveConfig({ overlayBytesMax: '300M', memoryBytesMax: '1100M' }).overlayBytesMax).toBe(300 << 20);
});

test('bodies of objects get what the ceiling leaves, and no parts that fitted before are refused for them', () => {
  const rest = resolveConfig({}).s3BufferBytesMax;
  expect(rest).toBeGreaterThan(56 * MiB);
  expect(resolveConfig({ overlayBytesMax: '200M' }).s3BufferBytesMax).toBe(rest - 8 * MiB);
  expect(resolveConfig({ overlayBytesMax: '250M' }).s3BufferBytesMax).toBe(16 * MiB);
  expect(resolveConfig({ memoryBytesMax: '4G' }).s3BufferBytesMax).toBe(512 * MiB);
  expect(() => resolveConfig({ s3BufferBytesMax: '128M' })).toThrow(/s3BufferBytesMax 128M/);
});

test('S3 is served on loopback, over TLS where there is a certificate, or not at all', () => {
  expect(resolveConfig({})).toMatchObject({ s3Listen: { host: '127.0.0.1', port: 9000 }, s3Tls: null, s3Domains: [] });
  expect(resolveConfig({ s3Listen: 'none' }).s3Listen).toBeNull();
  expect(resolveConfig({ s3Domains: 'S3.Example.org, s3.local' }).s3Domains).toEqual(['s3.example.org', 's3.local']);
  expect(resolveConfig({ s3TlsCertificate: '/etc/s3.pem', s3TlsKey: '/etc/s3.key' }).s3Tls).toEqual({
    certificate: '/etc/s3.pem',
    key: '/etc/s3.key',
    clientCa: null,
  });
});

test('webhooks have names, URLs that tell no password, and files of secrets', () => {
  const configFile = join(temporaryDirectory(), 'skerry.json');
  const withWebhooks = (s3Webhooks: unknown): Config['s3Webhooks'] => {
    writeFileSync(configFile, JSON.stringify({ s3Webhooks }));
    return resolveConfig({ configFile }).s3Webhooks;
  };
  expect(resolveConfig({}).s3Webhooks).toEqual({});
  const url = 'https://example.org/hook?a=b';
  expect(withWebhooks({ indexer: { url }, 'thumb_nails-2': { url, secretFile: 'secret', accounts: ['alice'] } })).toEqual({
    indexer: { url },
    'thumb_nails-2': { url, secretFile: join(process.cwd(), 'secret'), accounts: ['alice'] },
  });
  for (const wrong of ['ftp://example.org', 'example.org', 'http://user:password@example.org/', 'http://example.org/#a', 7])
    expect(() => withWebhooks({ indexer: { url: wrong } })).toThrow(/s3Webhooks.indexer.url: /);
  expect(() => withWebhooks({ 'a/b': { url } })).toThrow(/s3Webhooks/);
  expect(() => withWebhooks({ indexer: { url, secret: 'x' } })).toThrow(/s3Webhooks.indexer has no "secret"/);
  expect(() => withWebhooks(Object.fromEntries(Array.from({ length: 33 }, (_, at) => [`hook-${at}`, { url }])))).toThrow(
    /32 at most/,
  );
});

test('the secret of a webhook is text or base 64, long enough, and nobody else’s to read', async () => {
  const secretFile = join(temporaryDirectory(), 'secret');
  const read = async (text: string, mode = 0o600): Promise<Uint8Array | null | undefined> => {
    writeFileSync(secretFile, text);
    chmodSync(secretFile, mode);
    return (await readWebhooks({ indexer: { url: 'http://example.org', secretFile } }))[0]?.secret;
  };
  expect(await read('sixteen bytes ok\n')).toEqual(Buffer.from('sixteen bytes ok'));
  expect(await read(`whsec_${Buffer.alloc(24, 7).toString('base64')}`)).toEqual(Buffer.alloc(24, 7));
  await expect(read('short')).rejects.toThrow(/webhook indexer in .* is too short/);
  await expect(read('sixteen bytes ok', 0o644)).rejects.toThrow(/do chmod 0600/);
  rmSync(secretFile);
  await expect(readWebhooks({ indexer: { url: 'http://example.org', secretFile } })).rejects.toThrow(/cannot be read/);
  expect(await readWebhooks({ indexer: { url: 'http://example.org' } })).toMatchObject([{ name: 'indexer', secret: null }]);
});

test('the cache on the local disk is off with 0, as a number and as text', () => {
  expect(resolveConfig({}).localCacheBytesMax).toBe(2 ** 32);
  for (const none of [0, '0']) expect(resolveConfig({ localCacheBytesMax: none }).localCacheBytesMax).toBe(0);
  expect(engineOptions(resolveConfig({ dataDirectory: '/data' }), 'ring').cacheDirectory).toBe('/data/cache');
});

test('an IPv6 address stands in brackets', () => {
  expect(resolveConfig({ nbdListen: '[::1]:0' }).nbdListen).toEqual({ host: '::1', port: 0 });
});

test.each([
  [{ httpPort: 70_000 }, 'httpPort'],
  [{ httpPort: 'seven' }, 'httpPort'],
  [{ nbdListen: 'localhost' }, 'nbdListen'],
  [{ nbdListen: '::1:99' }, 'nbdListen'],
  [{ nbdListen: 'host:70000' }, 'nbdListen'],
  [{ ringBytes: '1' }, 'ringBytes'],
  [{ ringBytes: '64Q' }, 'ringBytes'],
  [{ ringBytes: '16M', segmentBytes: '16M' }, 'segmentBytes'],
  [{ ringBytes: '65537' }, 'ringBytes: "65537" is not allowed: write a size from 4M to 4G, in whole 4096 bytes'],
  [{ ringBytes: true }, 'ringBytes: true is not allowed'],
  [
    { localCacheBytesMax: '1M' },
    'localCacheBytesMax: "1M" is not allowed: write a size from 64M to 512G, in whole 4096 bytes, or 0',
  ],
  [{ localCacheBytesMax: '128G' }, 'what localCacheBytesMax takes of memory'],
  [{ httpPort: '' }, 'httpPort: "" is not allowed: write a whole number from 0 to 65535'],
  [{ httpPort: null }, 'httpPort: null'],
  [{ nbdListen: 5 }, 'nbdListen: 5 is no address'],
  [{ logLevel: 'loud' }, '"warn"'],
  [{ socketThreads: 0 }, 'socketThreads'],
  [{ nbdTlsCertificate: 'server.pem' }, 'set nbdTlsKey too'],
  [{ nbdTlsKey: 'server.key' }, 'set nbdTlsCertificate too'],
  [{ nbdTlsClientCa: 'ca.pem' }, 'set nbdTlsCertificate too'],
  [{ nbdTlsMode: 'required' }, 'set nbdTlsCertificate too'],
  [{ nbdTlsMode: 'perhaps' }, 'nbdTlsMode'],
  [{ s3Listen: 'nowhere' }, 's3Listen: "nowhere" is no address: write HOST:PORT, as in 127.0.0.1:9000, or none'],
  [{ s3Domains: 's3.example.org:9000' }, 's3Domains'],
  [{ s3Domains: '' }, 's3Domains'],
  [{ s3Region: 'US East' }, 's3Region: write a name'],
  [{ s3SignatureVersion2: 'maybe' }, 's3SignatureVersion2'],
  [{ s3TlsCertificate: 'server.pem' }, 'set s3TlsKey too'],
  [{ s3TlsKey: 'server.key' }, 'set s3TlsCertificate too'],
  [{ s3BytesPerSecond: '1K' }, 's3BytesPerSecond'],
  [{ nbdTlsCertificate: '', nbdTlsKey: 'server.key' }, 'nbdTlsCertificate'],
  [{ dataDirectory: `/${'d'.repeat(200)}` }, 'too long'],
])('%j is refused with the setting named', (options, words) => {
  expect(() => resolveConfig({ dataDirectory: '/data', ...(options as ServeOptions) })).toThrowError(
    expect.objectContaining({ code: 'invalid', message: expect.stringContaining(words) }),
  );
});

test('a file that is not there, is no JSON, or says what nobody knows is refused', () => {
  const directory = temporaryDirectory();
  const file = (content: string): string => {
    writeFileSync(join(directory, 'f.json'), content);
    return join(directory, 'f.json');
  };
  expect(() => resolveConfig({ configFile: join(directory, 'no') })).toThrowError(expect.objectContaining({ code: 'not-found' }));
  expect(() => resolveConfig({ configFile: file('{') })).toThrowError(expect.objectContaining({ code: 'invalid' }));
  expect(() => resolveConfig({ configFile: file('[]') })).toThrowError(expect.objectContaining({ code: 'invalid' }));
  expect(() => resolveConfig({ configFile: file('{"ringbytes":1,"x":2}') })).toThrowError(
    expect.objectContaining({
      code: 'invalid',
      message: expect.stringMatching(/no setting "ringbytes" or "x"; there are nbdListen, .*ringBytes/),
    }),
  );
});

test('every setting stands in the reference', () => {
  const reference = readFileSync(join(packageRoot(), 'docs', 'reference', 'cli.md'), 'utf8');
  const table = reference.slice(reference.indexOf('| setting in FILE'));
  for (const name of settingNames) expect(table).toMatch(new RegExp(`^\\| \`${name}\` \\| [^|]+ \\| [^|]+ \\| [^|]+ \\|$`, 'm'));
});
