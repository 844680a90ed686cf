/**
 * An object layer over a real engine and catalog, in a process that may be killed. `work` stores, replaces, copies and removes
 * objects for ever and says on a line what was acknowledged; `check` starts over what that left, and says what is wrong with it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { openLmdbCatalog } from '../../dist/src/catalog/lmdb.js';
import { extentKey, extentPrefix, knownKey, knownPrefix, lastNumber } from '../../dist/src/catalog/object_keys.js';
import { decodeExtent, decodeKnown } from '../../dist/src/catalog/shelf_records.js';
import { Composer } from '../../dist/src/composer/composer.js';
import { Engine, loadNativeModule } from '../../dist/src/engine/engine.js';
import { Ledger } from '../../dist/src/mapper/ledger.js';
import { KeyedLocks } from '../../dist/src/mapper/locks.js';
import { Shelves } from '../../dist/src/mapper/shelves.js';
import { ObjectLayer } from '../../dist/src/object/object_layer.js';

const [what, directory, ringName, seedText, acknowledged] = process.argv.slice(2);
const MiB = 1 << 20;
const page_bytes = 4096;
const bucket = 'bucket';
const attributes = { owner: 1 };
const sizes = [0, 1, 300, 5000, 65_535, 70_000, 300_000, MiB, 2 * MiB + 17, 17 * MiB];

/** As in test/harness/object_world.ts. */
function pattern(bytes, seed) {
  const data = new Uint8Array(bytes);
  let state = seed * 2_654_435_761 + 1;
  for (let at = 0; at < bytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    data[at] = (state >>> 24) | 1;
  }
  return data;
}

async function* once(data) {
  for (let at = 0; at < data.length; at += 100_000) yield data.subarray(at, at + 100_000);
}

async function open() {
  const options = {
    directory: join(directory, 'engine'),
    ringName,
    ringBytes: 8 * MiB,
    segmentBytes: 4 * MiB,
    journalBytesMax: 64 * MiB,
    overlayBytesMax: 32 * MiB,
    nodeCacheBytesMax: 4 * MiB,
    blockCacheBytesMax: MiB,
    localCacheBytesMax: 0,
    cacheDirectory: join(directory, 'cache'),
    nbdBufferBytesMax: 64 * MiB,
    socketThreads: 1,
    blockingThreads: 1,
    salvageJournal: false,
  };
  const log = (level, message, fields) => level === 'info' || console.error(level, message, JSON.stringify(fields));
  const engine = new Engine(loadNativeModule(), options, (event, error) => log('error', event, { error: String(error) }));
  const catalog = await openLmdbCatalog({ directory });
  const { ledger, entries } = await Ledger.open(catalog);
  const locks = new KeyedLocks();
  const store = { putRoot: async () => undefined, rootsSettled: async () => undefined, putTombstone: async () => undefined };
  // No volume here flushes to its pool.
  const logs = { distrustPartialJournal: async () => undefined, start: async () => undefined, shorten: () => undefined, stop: async () => undefined };
  const composer = new Composer({ ledger, locks, engine, roots: { of: () => store }, logs, log });
  engine.on('commit', ({ commit }) => composer.handle(commit));
  const places = { directory: join(directory, 'pool'), checkpoint: join(directory, 'index'), remote: null };
  const compression = { codec: 'none', level: 0 };
  const pool = { name: 'default', ...places, domain: 1, keyId: 1, domainKey: new Uint8Array(32), dataKey: null, compression };
  await composer.start([pool], entries);
  const shelves = new Shelves({ catalog, ledger, engine, pools: { using: (_pool, work) => work() } });
  const domainKeys = async () => new Uint8Array(32).fill(1);
  const layer = await ObjectLayer.open({ catalog, engine, shelves, log, domainKeys, partBytesMin: 1 });
  return { engine, catalog, composer, ledger, layer };
}

async function work() {
  const { layer } = await open();
  await layer.buckets.create({ name: bucket, account: 1, pool: 'default' }).catch((error) => {
    if (error.code !== 'exists') throw error;
  });
  let seed = Number(seedText);
  const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`);
  const one = async (lane) => {
    for (let turn = 0; ; turn += 1) {
      seed += 1;
      const key = `${lane}/${seed % 5}`;
      const mine = seed;
      const bytes = sizes[mine % sizes.length];
      // A line before says that the key may change, one behind it that it did.
      say({ key, begun: true });
      if (mine % 7 === 0) {
        await layer.objects.remove({ bucket, key, owner: 1 });
        say({ key, bytes: null });
      } else if (mine % 11 === 0) {
        const uploadId = await layer.uploads.create({ bucket, key, attributes });
        const data = pattern(bytes, mine);
        const half = Math.floor(bytes / 2);
        const name = { bucket, key, uploadId };
        const parts = [];
        for (const [index, part] of [data.subarray(0, half), data.subarray(half)].entries())
          parts.push(await layer.uploads.putPart({ ...name, number: index + 1, content: once(part), bytes: part.length, account: 1 }));
        if (mine % 2 === 0) await layer.uploads.abort(name);
        else await layer.uploads.complete({ ...name, parts });
        say(mine % 2 === 0 ? { key, same: true } : { key, bytes, seed: mine });
      } else {
        // Most are like others that were there before: what is small is known then.
        const like = mine % 3 === 0 ? mine : mine % (3 * sizes.length);
        await layer.objects.put({ bucket, key, content: once(pattern(bytes, like)), bytes, attributes, account: 1 });
        if (mine % 5 === 0) {
          say({ key: `copy ${key}`, begun: true });
          await layer.copies.copy({ bucket, key: `copy ${key}`, from: { bucket, key }, owner: 1 });
          say({ key: `copy ${key}`, bytes, seed: like });
        }
        say({ key, bytes, seed: like });
      }
    }
  };
  const upkeep = async () => {
    for (;;) {
      await layer.takeBack();
      await sleep(20);
    }
  };
  await Promise.all([one('a'), one('b'), one('c'), upkeep()]);
}

/** Objects that are not as they must be, and bytes in shelves that nobody owns. */
async function check() {
  const { engine, catalog, composer, ledger, layer } = await open();
  const wrong = [];
  await layer.takeBack();
  for (const { key, bytes, seed } of JSON.parse(readFileSync(acknowledged, 'utf8'))) {
    const opened = await layer.objects.open({ bucket, key }).catch((error) => {
      if (error.code !== 'not-found') throw error;
      return null;
    });
    if (opened === null || bytes === null) {
      if ((opened === null) !== (bytes === null)) wrong.push(`${key} ${bytes === null ? 'came back' : 'is gone'}`);
      opened?.object.close();
      continue;
    }
    const pieces = [];
    for await (const piece of opened.object.read(0, opened.object.version.bytes)) pieces.push(piece);
    opened.object.close();
    if (Buffer.compare(Buffer.concat(pieces), pattern(bytes, seed)) !== 0) wrong.push(`${key} is not what was put`);
  }
  await engine.destage(0);
  for (const entry of await ledger.list('volume')) wrong.push(`${entry.record.name} can be seen`);
  const shelves = new Set();
  let owned = 0;
  for (const { key, value } of await catalog.range(extentPrefix)) {
    shelves.add(lastNumber(key.slice(0, key.lastIndexOf('/'))));
    owned += Math.ceil(decodeExtent(value).bytes / page_bytes) * page_bytes;
  }
  const known = new Map((await catalog.range(knownPrefix)).map(({ key, value }) => [key, decodeKnown(value)]));
  for (const { key, value } of await catalog.range(extentPrefix)) {
    const { sum } = decodeExtent(value);
    if (sum === undefined) continue;
    const place = known.get(knownKey(sum));
    if (place === undefined || extentKey(place.shelf, place.offset) !== key) wrong.push(`the sum of ${key} does not lead to it`);
    known.delete(knownKey(sum));
  }
  for (const key of known.keys()) wrong.push(`${key} leads to no extent that has this sum`);
  let held = 0;
  for (const shelf of shelves) held += await engine.allocatedBytes(shelf);
  const extents = (await catalog.range(extentPrefix)).length;
  await layer.stop();
  await composer.stop();
  await engine.stop(false);
  await catalog.close();
  process.stdout.write(`${JSON.stringify({ wrong, owned, held, extents })}\n`);
}

await (what === 'work' ? work() : check());
