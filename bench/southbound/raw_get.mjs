// node raw_get.mjs DRIVER BYTES GET-BYTES IN-FLIGHT key=value ...: how fast the driver gives packs that are in its place, in ranges, with
// nothing above it. Prints one line of JSON. Of the built tree (npm run build).
import { allDrivers } from '../../dist/drivers/all.js';
import { openDriver } from '../../dist/src/driver/registry.js';

const [name, bytes, getBytes, inFlight, ...pairs] = process.argv.slice(2);
const settings = Object.fromEntries(
  pairs.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
);
const driver = await openDriver(allDrivers, name, settings);
const all = [];
let wanted = Number(bytes);
for await (const { key, bytes: size } of driver.list('packs/')) {
  for (let at = 0; at < size && wanted > 0; at += Number(getBytes), wanted -= Number(getBytes)) all.push({ key, at });
}

/** Bytes and seconds of one pass over all ranges. */
async function pass() {
  const ranges = [...all];
  let read = 0;
  const one = async () => {
    const into = new Uint8Array(Number(getBytes));
    for (let range = ranges.shift(); range !== undefined; range = ranges.shift()) {
      const got = await driver.get(range.key, range.at, into);
      // Not `read += await ...`: that would add to what was read before the call, and lose what the others have added since.
      read += got ?? 0;
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: Number(inFlight) }, one));
  return { bytes: read, seconds: (performance.now() - began) / 1000 };
}

// The first is for the backend, which has it in memory then, and for the connections.
await pass();
const measured = await pass();
await driver.close();
process.stdout.write(`${JSON.stringify(measured)}\n`);
