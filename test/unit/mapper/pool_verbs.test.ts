import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';

import { allDrivers } from '../../../drivers/all.js';
import { poolKey } from '../../../src/catalog/keys.js';
import { encodePool } from '../../../src/catalog/records.js';
import { PoolVerbs, readPools } from '../../../src/mapper/pool_verbs.js';
import { Pools } from '../../../src/pool/pools.js';
import { temporaryDirectory } from '../temporary_directory.js';
import { openWorld, type World } from './world.js';

interface Verbs {
  readonly world: World;
  readonly verbs: PoolVerbs;
  readonly pools: Pools;
  readonly place: (name: string) => Record<string, string>;
}

/** Pools over the catalog of a world, of which `default` is one. */
async function open(): Promise<Verbs> {
  const world = await openWorld();
  const directory = temporaryDirectory();
  const place = (name: string) => ({ directory: join(directory, name), 'direct-path': 'off' });
  const logged: string[] = [];
  const log = (level: string, message: string): void => void logged.push(`${level} ${message}`);
  const pools = new Pools({
    registry: allDrivers,
    engineDirectory: join(directory, 'engine'),
    stagedBytesMax: 1 << 30,
    keptBytesMax: 1 << 30,
    log,
    placed: (settings) => settings,
  });
  onTestFinished(() => pools.close());
  const first = {
    name: 'default',
    driver: 'local',
    settings: { directory: join(directory, 'default') },
    domain: 1,
    keyId: 1,
    domainKey: new Uint8Array(32),
    poolUuid: new Uint8Array(16),
    createdAt: 1,
    compression: 'none',
    framed: false,
    encryption: null,
  };
  await world.catalog.transact([], [{ key: poolKey('default'), value: encodePool(first) }]);
  await pools.open(first);
  const { catalog, ledger, locks, fake } = world;
  const verbs = new PoolVerbs({ catalog, ledger, locks, engine: fake, pools, defaultName: 'default', log, now: () => 1000 });
  return { world, verbs, pools, place };
}

const namesIn = async ({ world }: Verbs): Promise<readonly string[]> => (await readPools(world.catalog)).map(({ name }) => name);

test('a pool is known to the engine before the catalog names it, with a domain and a key of its own', async () => {
  const opened = await open();
  const { world, verbs, pools, place } = opened;
  const from = world.steps.length;
  await verbs.create({ name: 'far', driver: 'local', settings: place('far') });
  expect(world.since(from)).toEqual(['engine.addPool far', 'catalog +pool/far']);
  const [first, far] = await readPools(world.catalog);
  expect(far).toMatchObject({ name: 'far', domain: 2, createdAt: 1000 });
  expect(far?.domainKey).not.toEqual(first?.domainKey);
  expect(pools.specs().map(({ name, remote }) => [name, remote === null])).toEqual([
    ['default', true],
    ['far', false],
  ]);
});

test('a pool that the engine refuses leaves nothing behind, and its place can be taken', async () => {
  const opened = await open();
  const { world, verbs, pools, place } = opened;
  world.fake.before = (step) => {
    if (step === 'engine.addPool') throw new Error('no');
  };
  await expect(verbs.create({ name: 'far', driver: 'local', settings: place('far') })).rejects.toThrow('no');
  expect(pools.has('far')).toBe(false);
  expect(await namesIn(opened)).toEqual(['default']);
  world.fake.before = () => undefined;
  await verbs.create({ name: 'other', driver: 'local', settings: place('far') });
  expect(await namesIn(opened)).toEqual(['default', 'other']);
});

test.each([
  ['Far_', 'memory', {}, 'invalid'],
  ['default', 'memory', {}, 'exists'],
  ['far', 'nothing', {}, 'invalid'],
  ['far', 'local', { directory: 'relative' }, 'invalid'],
  ['far', 'memory', { 'on-outage': 'perhaps' }, 'invalid'],
])('a pool %s of driver %s with %o is refused as %s… is', async (name, driver, settings: Record<string, string>, code) => {
  const opened = await open();
  await expect(opened.verbs.create({ name, driver, settings })).rejects.toMatchObject({ code });
  expect(await namesIn(opened)).toEqual(['default']);
});

test('a pool that compresses is known to hold compressed records before the engine hears of it, and for ever', async () => {
  const opened = await open();
  const { verbs, world, pools, place } = opened;
  await verbs.create({ name: 'far', driver: 'local', settings: place('far'), compression: 'zstd' });
  expect((await readPools(world.catalog))[1]).toMatchObject({ compression: 'zstd:3', framed: true });
  expect(pools.specs()[1]).toMatchObject({ compression: { codec: 'zstd', level: 3 } });
  let from = world.steps.length;
  await verbs.set('default', { compression: 'lz4' });
  expect(world.since(from)).toEqual(['catalog +pool/default', 'engine.compressPool default lz4 0']);
  expect(pools.record('default')).toMatchObject({ compression: 'lz4' });
  await verbs.set('default', { compression: 'none' });
  expect((await readPools(world.catalog))[0]).toMatchObject({ compression: 'none', framed: true });
  from = world.steps.length;
  await verbs.allowFrames('default');
  expect(world.since(from)).toEqual([]);
  await expect(verbs.set('default', { compression: 'gzip' })).rejects.toMatchObject({ code: 'invalid' });
  await expect(verbs.set('none', { compression: 'lz4' })).rejects.toMatchObject({ code: 'not-found' });
  await expect(verbs.create({ name: 'bad', driver: 'memory', settings: {}, compression: 'zstd:20' })).rejects.toMatchObject({
    code: 'invalid',
  });
});

test('two pools do not share a place, and one that is not empty is not taken', async () => {
  const { verbs, pools, place } = await open();
  await verbs.create({ name: 'far', driver: 'local', settings: place('far') });
  await expect(verbs.create({ name: 'twin', driver: 'local', settings: place('far') })).rejects.toMatchObject({
    code: 'conflict',
  });
  const direct = { directory: place('far').directory ?? '' };
  await expect(verbs.create({ name: 'twin', driver: 'local', settings: direct })).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('not empty'),
  });
  expect(pools.names()).toEqual(['default', 'far']);
});

test('a pool goes only when nothing is in it and nothing is being made there', async () => {
  const opened = await open();
  const { verbs, world, place } = opened;
  await verbs.create({ name: 'far', driver: 'local', settings: place('far') });
  let finish: () => void = () => {};
  const making = verbs.using('far', () => new Promise<void>((resolve) => (finish = resolve)));
  await expect(verbs.remove('far')).rejects.toMatchObject({ code: 'conflict' });
  finish();
  await making;
  await expect(verbs.remove('default')).rejects.toMatchObject({ code: 'invalid' });
  await expect(verbs.remove('none')).rejects.toMatchObject({ code: 'not-found' });
  const from = world.steps.length;
  await verbs.remove('far');
  expect(world.since(from)).toEqual(['engine.removePool far', 'catalog -pool/far']);
  expect(await namesIn(opened)).toEqual(['default']);
  await expect(verbs.using('far', async () => undefined)).rejects.toMatchObject({ code: 'not-found' });
});

test('a resource in a pool keeps it, by whatever name', async () => {
  const opened = await open();
  const { verbs, world } = opened;
  await world.mapper.create({ name: 'vm1', sizeBytes: 1 << 20 });
  expect(await world.ledger.anyIn('default')).toMatchObject({ name: 'vm1' });
  expect(await world.ledger.anyIn('far')).toBeNull();
  await verbs.create({ name: 'far', driver: 'memory', settings: {} });
  const record = await world.ledger.anyIn('default');
  if (record === null) throw new Error('it is there');
  await world.ledger.update(record.id, (now) => ({ ...now, pool: 'far' }));
  await expect(verbs.remove('far')).rejects.toMatchObject({ code: 'conflict', message: expect.stringContaining('vm1') });
});
