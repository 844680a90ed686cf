// A worker thread that is terminated in the midst of its calls to RADOS, several times over: the process must live on.
// node rados_worker.mjs BINDING CONF POOL TIMES
import { createRequire } from 'node:module';
import { setTimeout as sleepFor } from 'node:timers/promises';
import { isMainThread, Worker } from 'node:worker_threads';

const [binding, conf, pool, times] = process.argv.slice(2);
const { Cluster } = createRequire(import.meta.url)(binding);
const timeout_seconds = 10;

if (isMainThread) {
  for (let round = 0; round < Number(times); round += 1) {
    const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), stdout: true });
    await new Promise((resolve, reject) => {
      worker.stdout.once('data', resolve);
      worker.once('error', reject);
    });
    await sleepFor(round * 7);
    await worker.terminate();
  }
  console.log('alive');
} else {
  const cluster = new Cluster('client.admin', timeout_seconds);
  await cluster.configure(conf, [['rados_osd_op_timeout', String(timeout_seconds)]]);
  await cluster.connect();
  await cluster.openPool(pool, 'abandoned');
  process.stdout.write('connected');
  const data = new Uint8Array(200_000).fill(7);
  for (let round = 0; ; round += 1) {
    const calls = Array.from({ length: 40 }, (_, index) => [
      cluster.create(`${round}/${index}`, data),
      cluster.read(`${round}/${index}`, 0, new Uint8Array(200_000)),
      cluster.stat(`${round}/${index}`),
    ]);
    const listing = cluster.beginListing('');
    await Promise.allSettled([...calls.flat(), cluster.nextNames(listing)]);
    cluster.endListing(listing);
  }
}
