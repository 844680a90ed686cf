import { readFileSync } from 'node:fs';

import type { FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, it } from 'vitest';
import { openapiDocument } from '../../../../src/api/openapi.js';
import { admin_page_resources_default, openapiPath, routes } from '../../../../src/api/routes.js';
import type { RouteName } from '../../../../src/api/routes.js';
import { errorView, shapes } from '../../../../src/api/shapes.js';
import { errorTable, SkerryError } from '../../../../src/core/errors.js';
import type { ErrorCode } from '../../../../src/core/errors.js';
import type { Identity } from '../../../../src/identity/identity.js';
import { buildAdmin } from '../../../../src/northbound/admin/admin.js';
import { tcpUri, unixUri } from '../../../../src/northbound/admin/uri.js';
import { FakeCollections } from './fake_collections.js';
import { FakeImageObjects } from './fake_image_objects.js';
import { FakePublications } from './fake_publications.js';
import { FakeMoves } from './fake_moves.js';
import { FakeReplications } from './fake_replications.js';
import { FakeScrubs } from './fake_scrubs.js';
import { memoryIdentity } from './memory_identity.js';
import {
  fakeActivity,
  fakePools,
  FakeDisks,
  FakeEstimates,
  FakePoolVerbs,
  FakeResources,
  FakeSpace,
  fakeStatus,
} from './fake_resources.js';

let resources: FakeResources;
let logged: { fields: object; message: string }[];
let listeners: Record<string, string>;
let app: FastifyInstance;
let poolVerbs: FakePoolVerbs;
let identity: Identity;

beforeEach(async () => {
  identity = await memoryIdentity();
  resources = new FakeResources();
  poolVerbs = new FakePoolVerbs();
  logged = [];
  listeners = { nbd: '/var/lib/skerry/nbd.sock', admin: '/var/lib/skerry/admin.sock' };
  app = buildAdmin({
    resources,
    pools: fakePools,
    poolVerbs,
    status: async () => fakeStatus(listeners),
    activity: async () => fakeActivity(10, 5),
    space: new FakeSpace(resources),
    estimates: new FakeEstimates(),
    identity,
    disks: new FakeDisks(resources),
    publications: new FakePublications(),
    imageObjects: new FakeImageObjects(),
    collections: new FakeCollections(),
    moves: new FakeMoves(),
    replications: new FakeReplications(),
    scrubs: new FakeScrubs(),
    listeners: () => listeners,
    log: { error: (fields, message) => void logged.push({ fields, message }) },
  });
});

type Method = 'GET' | 'POST' | 'DELETE' | 'PUT' | 'PATCH';

async function ask(method: Method, url: string, payload?: object): Promise<{ status: number; body: unknown }> {
  const response = await app.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
  expect(response.headers['content-type']).toMatch(/^application\/json/);
  return { status: response.statusCode, body: response.json() };
}

/** The answer, which must be of the shape that the route promises and have its status. */
async function good(route: RouteName, url: string, payload?: object) {
  const { status, body } = await ask(routes[route].method, url, payload);
  expect({ status, body }).toMatchObject({ status: routes[route].status });
  return shapes[route].answer.parse(body);
}

async function refused(method: Method, url: string, payload?: object) {
  const { status, body } = await ask(method, url, payload);
  const { error } = errorView.parse(body);
  expect(status).toBe(errorTable[error.code].httpStatus);
  return error;
}

describe('every route', () => {
  it('answers in its shape', async () => {
    resources.put({ kind: 'volume', name: 'vm1', createdAt: Date.UTC(2026, 0, 2) });
    resources.put({ kind: 'snapshot', name: 'vm1@monday' });
    resources.put({ kind: 'image', name: 'debian_12.raw' });
    await identity.accounts.create('acme');
    await identity.users.create('acme', 'ann');
    const [{ accessKey: key }, { accessKey: other }] = [await identity.keys.create('acme'), await identity.keys.create('acme')];
    const asked: Record<RouteName, [string, object?]> = {
      status: ['/v1/status'],
      activity: ['/v1/activity'],
      volumeList: ['/v1/volumes'],
      volumeCreate: ['/v1/volumes', { name: 'new', sizeBytes: 8192 }],
      volumeGet: ['/v1/volumes/vm1'],
      volumeUri: ['/v1/volumes/vm1%40monday/uri'],
      snapshotList: ['/v1/snapshots?volume=vm1'],
      snapshotCreate: ['/v1/snapshots', { name: 'vm1@tuesday', description: 'a day' }],
      snapshotGet: ['/v1/snapshots/vm1%40monday'],
      clone: ['/v1/clones', { source: 'vm1@monday', name: 'vm2' }],
      diff: ['/v1/diff?from=vm1%40monday&to=vm1&offset=4096'],
      imageList: ['/v1/images'],
      imageImport: ['/v1/images', { path: '/srv/d.raw', name: 'd' }],
      imageGet: ['/v1/images/debian_12.raw'],
      export: ['/v1/exports', { source: 'vm1', path: '/srv/vm1.raw' }],
      transferGet: ['/v1/transfers/1'],
      transferCancel: ['/v1/transfers/2'],
      poolList: ['/v1/pools'],
      poolGet: ['/v1/pools/default'],
      replicationSet: ['/v1/volumes/vm1/replication', { pool: 'far', everySeconds: 300 }],
      replicationGet: ['/v1/volumes/vm1/replication?wait=1'],
      replicationList: ['/v1/replications'],
      replicationStop: ['/v1/volumes/vm1/replication'],
      moveBegin: ['/v1/moves', { source: 'vm1', pool: 'fast' }],
      moveGet: ['/v1/moves/volume%2Fvm1?wait=1'],
      moveCancel: ['/v1/moves/vm1'],
      spaceList: ['/v1/space?age=5&wait=1'],
      estimateBegin: ['/v1/estimates', { pool: 'default' }],
      estimateRead: ['/v1/estimates/1/read', { path: '/srv/a.raw', offset: 0 }],
      estimateEnd: ['/v1/estimates/1'],
      spaceGet: ['/v1/space/vm1%40monday'],
      snapshotRollback: ['/v1/snapshots/vm1%40monday/rollback'],
      volumeSet: ['/v1/volumes/vm1', { labels: { role: 'db' }, limit: { iops: 5, bandwidth: 0, burst: 0 } }],
      volumeResize: ['/v1/volumes/vm1/resize', { sizeBytes: 8192, shrink: true }],
      volumeRename: ['/v1/volumes/new/rename', { name: 'renamed' }],
      imageRename: ['/v1/images/debian_12.raw/rename', { name: 'debian' }],
      poolCreate: ['/v1/pools', { name: 'brief', driver: 'memory', settings: { 'on-outage': 'error' } }],
      poolSet: ['/v1/pools/default', { compression: 'zstd:5' }],
      poolChangeKey: ['/v1/pools/default/change-key', { key: { kind: 'file', from: '/etc/skerry/new.key' } }],
      poolDelete: ['/v1/pools/brief'],
      poolCollect: ['/v1/pools/default/gc', { dryRun: true }],
      poolCollection: ['/v1/pools/default/gc?wait=1'],
      poolScrub: ['/v1/pools/default/scrub'],
      poolScrubbing: ['/v1/pools/default/scrub?wait=1'],
      snapshotDelete: ['/v1/snapshots/vm1%40monday'],
      volumeDelete: ['/v1/volumes/vm1'],
      imageDelete: ['/v1/images/debian'],
      publicationCreate: ['/v1/publications', { account: 'acme', volume: 'vm1' }],
      publicationList: ['/v1/publications'],
      publicationDelete: ['/v1/publications/volume-vm1'],
      accountList: ['/v1/accounts?limit=5'],
      accountCreate: ['/v1/accounts', { name: 'other', displayName: 'Other Ltd' }],
      accountGet: ['/v1/accounts/acme'],
      accountSet: ['/v1/accounts/acme', { displayName: 'Acme Ltd', suspended: false }],
      accountRename: ['/v1/accounts/other/rename', { name: 'another' }],
      accountDelete: ['/v1/accounts/another'],
      userList: ['/v1/accounts/acme/users'],
      userCreate: ['/v1/accounts/acme/users', { name: 'bob@example.org' }],
      userDelete: ['/v1/accounts/acme/users/bob%40example.org'],
      keyList: ['/v1/accounts/acme/keys'],
      keyCreate: ['/v1/accounts/acme/keys', { user: 'ann' }],
      keySet: [`/v1/keys/${key}`, { active: false }],
      keyRotate: [`/v1/keys/${key}/rotate`],
      keyRevoke: [`/v1/keys/${other}`],
      quotaSet: ['/v1/accounts/acme/quota', { bucket: 'photos', bytes: 2 ** 40 }],
      quotaGet: ['/v1/accounts/acme/quota'],
      usageGet: ['/v1/accounts/acme/usage?from=2026-11-22T10:00:00Z&to=2026-11-23T10:00:00.000Z'],
    };
    expect(Object.keys(asked).sort()).toEqual(Object.keys(routes).sort());
    for (const [route, [url, payload]] of Object.entries(asked)) await good(route as RouteName, url, payload);
  });

  it('hands over exactly what was asked for', async () => {
    await good('volumeCreate', '/v1/volumes', {
      name: 'db',
      sizeBytes: 2 ** 40,
      cache: 'writethrough',
      durability: 'pool',
      pool: 'default',
    });
    await good('clone', '/v1/clones', { source: 'db', name: 'db2', description: 'copy', durability: 'local' });
    expect(resources.calls).toEqual([
      ['create', { name: 'db', sizeBytes: 2 ** 40, cache: 'writethrough', durability: 'pool', pool: 'default' }],
      ['clone', 'db', 'db2', { description: 'copy', durability: 'local' }],
    ]);
  });
});

it('the API describes itself', async () => {
  const { status, body } = await ask('GET', openapiPath);
  expect({ status, body }).toEqual({ status: 200, body: JSON.parse(JSON.stringify(openapiDocument())) as unknown });
});

describe('a listing of volumes', () => {
  it('holds those with every label that was asked for', async () => {
    resources.put({ kind: 'volume', name: 'a', labels: { role: 'db', team: 'x' } });
    resources.put({ kind: 'volume', name: 'b', labels: { role: 'web', team: 'x' } });
    resources.put({ kind: 'volume', name: 'c' });
    const names = async (query: string): Promise<string[]> => {
      const { body } = await ask('GET', `/v1/volumes${query}`);
      return shapes.volumeList.answer.parse(body).volumes.map(({ name }) => name);
    };
    expect(await names('')).toEqual(['a', 'b', 'c']);
    expect(await names('?label=role')).toEqual(['a', 'b']);
    expect(await names('?label=role%3Ddb')).toEqual(['a']);
    expect(await names('?label=team&label=role%3Dweb')).toEqual(['b']);
    expect(await names('?label=toString')).toEqual([]);
  });

  it('with a label comes in pages too', async () => {
    for (const name of ['a', 'b', 'c', 'd']) resources.put({ kind: 'volume', name, labels: name === 'b' ? {} : { role: 'db' } });
    expect(await good('volumeList', '/v1/volumes?label=role&limit=2')).toMatchObject({
      volumes: [{ name: 'a' }, { name: 'c' }],
      next: 'c',
    });
    expect(await good('volumeList', '/v1/volumes?label=role&limit=2&after=c')).toMatchObject({
      volumes: [{ name: 'd' }],
      next: null,
    });
  });
});

describe('a list', () => {
  const names = ['a', 'b', 'c', 'd', 'e'];

  it('comes in pages, and says where it goes on', async () => {
    for (const name of names) resources.put({ kind: 'volume', name });
    const pages: unknown[] = [];
    for (let query = 'limit=2'; ; ) {
      const { volumes, next } = shapes.volumeList.answer.parse(await good('volumeList', `/v1/volumes?${query}`));
      pages.push(volumes.map(({ name }) => name));
      if (next === null) break;
      query = `limit=2&after=${next}`;
    }
    expect(pages).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
    expect(await good('volumeList', '/v1/volumes?limit=5')).toMatchObject({ next: null });
    expect(await good('volumeList', '/v1/volumes?limit=4')).toMatchObject({ next: 'd' });
  });

  it('of more than a page holds ends there, also where no limit was asked for', async () => {
    for (let index = 0; index <= admin_page_resources_default; index += 1)
      resources.put({ kind: 'snapshot', name: `vm1@${String(index).padStart(5, '0')}` });
    const { snapshots, next } = shapes.snapshotList.answer.parse(await good('snapshotList', '/v1/snapshots?volume=vm1'));
    expect(snapshots).toHaveLength(admin_page_resources_default);
    expect(next).toBe(snapshots.at(-1)?.name);
  });

  it.each(['0', '-1', '1.5', 'all', '1001', '99999'])('with limit %s is refused', async (limit) => {
    expect((await refused('GET', `/v1/volumes?limit=${limit}`)).message).toMatch(/limit: must be/);
  });
});

describe('an answer', () => {
  it('says how long it took in the daemon', async () => {
    const response = await app.inject({ method: 'GET', url: '/v1/volumes' });
    expect(response.headers['server-timing']).toMatch(/^total;dur=\d+\.\d{3}$/);
  });
});

describe('a failure', () => {
  it('has the code of the verb and the status of the one table', async () => {
    for (const code of Object.keys(errorTable) as ErrorCode[]) {
      resources.failure = new SkerryError(code, `this is ${code}`);
      expect(await refused('GET', '/v1/volumes/vm1')).toEqual({ code, message: `this is ${code}` });
    }
  });

  it('that nobody foresaw is internal, and logged', async () => {
    resources.failure = new TypeError('a bug');
    expect(await refused('GET', '/v1/volumes')).toEqual({ code: 'internal', message: 'a bug' });
    expect(logged).toHaveLength(1);
  });

  it('of the native engine keeps its code', async () => {
    resources.failure = Object.assign(new Error('the disk is full'), { code: 'no-space' });
    expect(await refused('POST', '/v1/snapshots', { name: 'vm1@a' })).toMatchObject({ code: 'no-space' });
  });

  it('of a caller is not logged', async () => {
    await refused('GET', '/v1/volumes/nope');
    expect(logged).toEqual([]);
  });
});

describe('a request that is not as it should be', () => {
  it('is refused with the field named', async () => {
    expect((await refused('POST', '/v1/volumes', { name: 'a', sizeBytes: '20G' })).message).toContain(
      'sizeBytes: expected number',
    );
    expect((await refused('POST', '/v1/volumes', { sizeBytes: 4096 })).message).toContain('name: expected string');
    expect((await refused('POST', '/v1/volumes', { name: 'a', sizeBytes: 4096, cash: 'writeback' })).message).toContain('cash');
    expect((await refused('POST', '/v1/volumes', { name: 'a', sizeBytes: 4096, cache: 'none' })).message).toContain('cache');
    expect((await refused('POST', '/v1/images', { name: 'a', path: 'relative.raw' })).message).toContain(
      'path: must be an absolute path',
    );
    expect((await refused('GET', '/v1/snapshots?vol=x')).message).toContain('vol');
    expect((await refused('GET', '/v1/transfers/first')).message).toContain('number of a transfer');
    expect(resources.calls).toEqual([]);
  });

  it.each([0, -4096, 4097, 1.5, 2 ** 63, 2 ** 53])('is refused for a size of %d', async (sizeBytes) => {
    expect(await refused('POST', '/v1/volumes', { name: 'a', sizeBytes })).toMatchObject({ code: 'invalid' });
    expect(resources.calls).toEqual([]);
  });

  it('is refused for a durability that there is not', async () => {
    expect(await refused('POST', '/v1/volumes', { name: 'a', sizeBytes: 4096, durability: 'host' })).toMatchObject({
      code: 'invalid',
    });
    expect(resources.calls).toEqual([]);
  });

  it('that is not JSON is told so', async () => {
    const post = (body: string, type: string | null) =>
      app.inject({ method: 'POST', url: '/v1/volumes', payload: body, headers: type === null ? {} : { 'content-type': type } });
    const bad: [string, string | null, RegExp][] = [
      ['{"name":', 'application/json', /not JSON/],
      ['', 'application/json', /empty/],
      ['name=a', 'application/x-www-form-urlencoded', /must be JSON/],
      ['null', 'application/json', /expected string/],
      ['[1]', 'application/json', /expected object/],
      ['{"__proto__":{"x":1},"name":"a","sizeBytes":4096}', 'application/json', /./],
    ];
    for (const [body, type, words] of bad) {
      const response = await post(body, type);
      expect(response.statusCode).toBe(400);
      const { error } = errorView.parse(response.json());
      expect(error.code).toBe('invalid');
      expect(error.message).toMatch(words);
    }
    const large = await post(JSON.stringify({ name: 'x'.repeat(100_000) }), 'application/json');
    expect(large.statusCode).toBe(413);
    expect(errorView.parse(large.json()).error.code).toBe('too-large');
  });

  it('to a route that is not there is not found, in the same form', async () => {
    expect(await refused('GET', '/v1/nothing')).toEqual({
      code: 'not-found',
      message: 'there is no GET /v1/nothing in this API',
    });
    expect(await refused('PUT', '/v1/volumes/vm1')).toMatchObject({ code: 'not-found' });
    expect(await refused('GET', '/')).toMatchObject({ code: 'not-found' });
    expect(await refused('GET', '/v1/volumes/%zz')).toMatchObject({ code: 'invalid' });
  });

  it('with a name that is too long is invalid, however long it is', async () => {
    for (const length of [57, 300, 2000])
      expect(await refused('GET', `/v1/volumes/${'a'.repeat(length)}`)).toMatchObject({ code: 'invalid' });
  });
});

describe('a volume’s URI', () => {
  it('exists only for what exists', async () => {
    expect(await refused('GET', '/v1/volumes/vm1/uri')).toMatchObject({ code: 'not-found' });
  });

  it('names the socket and, where there is one, the TCP address', async () => {
    resources.put({ kind: 'volume', name: 'vm1' });
    const socket = 'nbd+unix:///vm1?socket=/var/lib/skerry/nbd.sock';
    expect(await good('volumeUri', '/v1/volumes/vm1/uri')).toEqual({ name: 'vm1', uri: socket, tcpUri: null });
    listeners['nbdTcp'] = '127.0.0.1:10809';
    expect(await good('volumeUri', '/v1/volumes/vm1/uri')).toMatchObject({ uri: socket, tcpUri: 'nbd://127.0.0.1:10809/vm1' });
  });

  it('is percent-encoded where URI, QEMU or a shell would mind', () => {
    expect(unixUri("/a b,c/d&e?f#g%h'i(j)/ü.sock", 'vm1@m.1_x')).toBe(
      'nbd+unix:///vm1@m.1_x?socket=/a%20b%2Cc/d%26e%3Ff%23g%25h%27i%28j%29/%C3%BC.sock',
    );
    expect(tcpUri('[::1]:10809', 'vm1', false)).toBe('nbd://[::1]:10809/vm1');
    expect(tcpUri('vmhost:10809', 'vm1@a', true)).toBe('nbds://vmhost:10809/vm1@a');
  });
});

it('cancelling a transfer answers with what became of it', async () => {
  resources.finishTransfers = false;
  await good('imageImport', '/v1/images', { path: '/srv/d.raw', name: 'd' });
  expect(await good('transferGet', '/v1/transfers/1')).toMatchObject({ state: 'running', doneBytes: 2 ** 28 });
  expect(await good('transferCancel', '/v1/transfers/1')).toMatchObject({ state: 'cancelled' });
  expect(await refused('DELETE', '/v1/transfers/9')).toMatchObject({ code: 'not-found' });
});

it('the reference names every route, and every code with its status', () => {
  const page = readFileSync(new URL('../../../../docs/reference/admin_api.md', import.meta.url), 'utf8');
  for (const { method, path } of Object.values(routes))
    expect(page).toContain(
      `${method} ${path.replace(':name', 'NAME').replace(':id', 'ID').replace(':user', 'USER').replace(':key', 'KEY').replace(':bucket', 'BUCKET')}\``,
    );
  for (const [code, { httpStatus, retry }] of Object.entries(errorTable)) {
    expect(page).toContain(`| \`${code}\` | ${httpStatus} | ${retry ? 'yes' : 'no'} |`);
  }
});
