// An engine that ends, or whose process does, while it reads what it had fetched.
// node fetching_engine.mjs ADDON DIRECTORY stop|exit COUNT: ends it with the fetch of that number.
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [addon, place, how, count] = process.argv.slice(2);
const native = createRequire(import.meta.url)(addon);
const MiB = 1 << 20;
const packs = 20_000;

const ringName = `skerry-fetching-${process.pid}`;
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
      if (fetches === Number(count)) end();
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

function end() {
  if (how === 'exit') {
    writeSync(1, 'alive\n');
    process.exit(0);
  }
  // Those whose buffers it has now are still told of, or are not; nobody is left to wait.
  setImmediate(() => void engine.stop(false).then(() => writeSync(1, 'alive\n')));
}

await engine.start([{ ...pool, ...secrets }], []).catch(() => undefined);
