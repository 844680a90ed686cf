/** The object layer and the verbs on volumes over one real engine and one pool: a daemon without its listeners. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openLmdbCatalog } from '../../src/catalog/lmdb.ts';
import { Composer } from '../../src/composer/composer.ts';
import type { PoolSpec } from '../../src/engine/binding.ts';
import { Engine, loadNativeModule } from '../../src/engine/engine.ts';
import { Assemblies } from '../../src/mapper/assemblies.ts';
import { FrozenShelves } from '../../src/mapper/frozen_shelves.ts';
import { Ledger } from '../../src/mapper/ledger.ts';
import { KeyedLocks } from '../../src/mapper/locks.ts';
import { Mapper } from '../../src/mapper/mapper.ts';
import type { PoolUsers } from '../../src/mapper/pool_verbs.ts';
import { PrivateExports } from '../../src/mapper/private_exports.ts';
import { Shelves } from '../../src/mapper/shelves.ts';
import { ImageObjects } from '../../src/object/image_objects.ts';
import { ObjectDisks } from '../../src/object/object_disks.ts';
import { ObjectLayer } from '../../src/object/object_layer.ts';
import { Publications } from '../../src/object/publications.ts';
import { NbdHandshakes } from '../../src/northbound/nbd/nbd.ts';
import { gather } from './object_world.ts';

const MiB = 1 << 20;
export const pool = 'default';

export async function openObjectEngine() {
  const directory = mkdtempSync(join(tmpdir(), 'skerry-disks-'));
  const ringName = `skerry-${directory.slice(directory.lastIndexOf('/') + 1)}`;
  const sizes = { ringBytes: 8 * MiB, segmentBytes: 4 * MiB, journalBytesMax: 64 * MiB, overlayBytesMax: 32 * MiB };
  const limits = {
    nodeCacheBytesMax: 4 * MiB,
    blockCacheBytesMax: MiB,
    localCacheBytesMax: 0,
    cacheDirectory: join(directory, 'cache'),
    nbdBufferBytesMax: 64 * MiB,
    socketThreads: 1,
    blockingThreads: 1,
  };
  const complaints: string[] = [];
  const log = (level: string, message: string, fields: unknown = {}): void => {
    if (level === 'error') complaints.push(`${message} ${JSON.stringify(fields)}`);
  };
  const engine = new Engine(
    loadNativeModule(),
    { directory: join(directory, 'engine'), ringName, ...sizes, ...limits, salvageJournal: false },
    (event, error) => void complaints.push(`${event}: ${String(error)}`),
  );
  const catalog = await openLmdbCatalog({ directory });
  const { ledger, entries } = await Ledger.open(catalog);
  const locks = new KeyedLocks();
  const store = {
    putRoot: async () => undefined,
    rootsSettled: async () => undefined,
    putTombstone: async () => undefined,
    forgetLog: async () => undefined,
    mustTakeLogs: () => undefined,
    holdLog: () => () => undefined,
  };
  const logs = {
    distrustJournal: async () => undefined,
    distrustPartialJournal: async () => undefined,
    start: async () => undefined,
    shorten: () => undefined,
    stop: async () => undefined,
  };
  const composer = new Composer({ ledger, locks, engine, roots: { of: () => store }, logs, log });
  engine.on('commit', ({ commit }) => composer.handle(commit));
  const places = { directory: join(directory, 'pool'), checkpoint: join(directory, 'index'), remote: null };
  const keys = { domain: 1, keyId: 1, domainKey: new Uint8Array(32), dataKey: null };
  const spec: PoolSpec = { name: pool, ...places, ...keys, compression: { codec: 'none', level: 0 } };
  await composer.start([spec], entries);
  const socket = join(directory, 'nbd.sock');
  const pools: PoolUsers = {
    defaultName: pool,
    of: () => store,
    using: (_pool, work) => work(),
    allowFrames: async () => undefined,
  };
  const privateExports = new PrivateExports(socket);
  const shared = { catalog, ledger, locks, engine, pools, log };
  const mapper = new Mapper({ ...shared, privateExports });
  const handshakes = new NbdHandshakes({ engine, resources: mapper, privateExports, count: () => undefined, log });
  engine.on('connected', (event) => handshakes.handle(event));
  engine.on('message', (event) => handshakes.handle(event));
  engine.on('closed', (event) => handshakes.handle(event));
  await engine.listenUnix(socket);
  const assemblies = new Assemblies({ ...shared, removal: mapper.removal });
  const shelves = new Shelves({ catalog, ledger, engine, pools });
  const frozen = new FrozenShelves({ catalog, ledger, locks, engine, pools });
  const destage = (shelf: number) => engine.destage(shelf);
  const layer = await ObjectLayer.open({ catalog, engine, shelves, log, frozen, destage, partBytesMin: 1 });
  const { buckets, listing, published } = layer;
  const publications = new Publications({ catalog, ledger, frozen, defaultPool: pool, log, buckets, listing, published });
  await publications.start();
  const accounts = { get: async (name: string) => ({ id: name === 'acme' ? 1 : 2 }), list: async () => [{ id: 1 }] };
  const defaults = { accounts, account: null, defaultPool: pool };
  const imageObjects = new ImageObjects({ catalog, ledger, frozen, log, buckets, published, ...defaults });
  await imageObjects.start();
  const disks = new ObjectDisks({ buckets, objects: layer.objects, assemblies, resources: mapper });
  return {
    catalog,
    engine,
    ledger,
    mapper,
    layer,
    disks,
    publications,
    imageObjects,
    complaints,
    /** Bytes of packs that were put so far: what is found again is not counted. */
    putBytes: (): number => engine.stats().pools[0]?.putBytes ?? Number.NaN,
    content: async (id: number, bytes: number): Promise<Buffer> => {
      async function* pieces() {
        for (let at = 0; at < bytes; at += MiB) yield await engine.read(id, at, Math.min(MiB, bytes - at));
      }
      return gather(pieces());
    },
    async stop(): Promise<void> {
      await imageObjects.stop();
      await publications.stop();
      await mapper.stop();
      await layer.stop();
      await composer.stop();
      await engine.stop(false);
      await catalog.close();
      rmSync(directory, { recursive: true, force: true });
      rmSync(join('/dev/shm', ringName), { force: true });
    },
  };
}
