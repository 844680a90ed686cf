// Worker threads that are terminated while an engine reads what it had them fetch: the process must live on.
// node fetching_worker.mjs ADDON DIRECTORY TIMES
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleepFor } from 'node:timers/promises';
import { isMainThread, Worker } from 'node:worker_threads';

const [addon, place, times] = process.argv.slice(2);
const native = createRequire(import.meta.url)(addon);
const MiB = 1 << 20;
const packs = 20_000;

if (isMainThread) {
  for (let round = 0; round < Number(times); round += 1) {
    // What is there to see where the process ends here.
    console.error(`round ${round}`);
    const argv = [addon, join(place, String(round)), times];
    const worker = new Worker(new URL(import.meta.url), { argv, stdout: true });
    await new Promise((resolve, reject) => {
      worker.stdout.once('data', resolve);
      worker.once('error', reject);
    });
    await sleepFor(round * 7);
    console.error('to be terminated');
    await worker.terminate();
  }
  console.log('alive');
} else {
  const ringName = `skerry-fetching-${process.pid}-${place.slice(place.lastIndexOf('/') + 1)}`;
  const sizes = { ringBytes: 4 * MiB, segmentBytes: 2 * MiB, journalBytesMax: 16 * MiB, overlayBytesMax: 8 * MiB };
  const limits = {
    nodeCacheBytesMax: MiB,
    blockCacheBytesMax: MiB,
    localCacheBytesMax: 0,
    cacheDirectory: join(place, 'cache'),
    nbdBufferBytesMax: 64 * MiB,
    socketThreads: 1,
    blockingThreads: 1,
  };
  const options = { directory: join(place, 'engine'), ringName, ...sizes, ...limits, salvageJournal: false };
  let fetches = 0;
  // A backend of many packs, whose footers are fetched one after the other and are none.
  const engine = new native.Engine(options, (events) => {
    for (const { type, errand, bytes } of events) {
      if (type === 'list') {
        engine.completeList(
          errand,
          Array.from({ length: packs }, (_, index) => ({ pack: index + 1, bytes: MiB })),
          null,
        );
      } else if (type === 'fetch') {
        engine.completeFetch(errand, new Uint8Array(bytes), null);
        fetches += 1;
        if (fetches === 100) process.stdout.write('fetching');
      } else if (type === 'open-gone') engine.completeFetch(errand, null, { code: 'not-found', message: 'there is none' });
      else if (type === 'keep-gone') engine.completeChange(errand, null);
    }
  });
  const remote = {
    uuid: new Uint8Array(16).fill(7),
    packBytes: MiB,
    stagedBytesMax: 64 * MiB,
    keptBytesMax: 0,
    shipsInFlightMax: 1,
    fetchesInFlightMax: 16,
  };
  const pool = { name: 'default', directory: join(place, 'pool'), checkpoint: join(place, 'index'), remote, domain: 1, keyId: 1 };
  const secrets = { domainKey: new Uint8Array(32), dataKey: null, compression: { codec: 'none', level: 0 } };
  await engine.start([{ ...pool, ...secrets }], []);
  process.stdout.write('started');
}
