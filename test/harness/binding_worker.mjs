// Worker threads that are terminated in the midst of calls of a driver's binding: the process must live on.
// node binding_worker.mjs DRIVER BINDING TIMES PLACE...
import { createRequire } from 'node:module';
import { setTimeout as sleepFor } from 'node:timers/promises';
import { isMainThread, Worker } from 'node:worker_threads';

const [driver, binding, times, ...place] = process.argv.slice(2);
const native = createRequire(import.meta.url)(binding);
const timeout_seconds = 10;
const untold_milliseconds = 30;
/**
 * To take it over keeps a native call busy for so long that it is likely to be under way when the thread is told to end. The
 * library sees none of it: to C it is empty.
 */
const newLongText = () => `\0${'x'.repeat(8 << 20)}`;

/** Each resolves with what makes some calls of each kind, by the number of the round. */
const connected = { rados, gluster, nfs };

if (isMainThread) {
  for (let round = 0; round < Number(times); round += 1) {
    // What is there to see where the process ends here.
    console.error(`round ${round}`);
    const worker = new Worker(new URL(import.meta.url), { argv: process.argv.slice(2), stdout: true });
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
  const callsOf = await connected[driver](...place);
  process.stdout.write('connected');
  const never = new Int32Array(new SharedArrayBuffer(4));
  for (let round = 0; ; round += 1) {
    const calls = callsOf(round, newLongText());
    // The thread may end with calls that are over, and before it hears of that.
    Atomics.wait(never, 0, 0, untold_milliseconds);
    await Promise.allSettled(calls);
  }
}

async function rados(conf, pool) {
  const cluster = new native.Cluster('client.admin', timeout_seconds);
  await cluster.configure(conf, 'rados_osd_op_timeout', String(timeout_seconds));
  await cluster.connect();
  await cluster.openPool(pool, 'abandoned');
  const data = new Uint8Array(200_000).fill(7);
  return (round, longText) => {
    const closed = new native.Cluster('client.admin', timeout_seconds).close();
    const calls = Array.from({ length: 40 }, (_, index) => [
      cluster.create(`${round}/${index}`, data),
      cluster.read(`${round}/${index}`, 0, new Uint8Array(200_000)),
      cluster.stat(`${round}/${index}`),
    ]);
    const listing = cluster.beginListing('');
    const names = cluster.nextNames(listing).finally(() => cluster.endListing(listing));
    return [closed, ...calls.flat(), names, cluster.openPool(longText, '')];
  };
}

async function gluster(host, volumeName) {
  const volume = await native.connect(0, volumeName, host);
  const path = '/abandoned';
  await volume.create(path).catch(() => undefined);
  const file = await volume.open(path, true);
  const data = new Uint8Array(200_000).fill(7);
  return (_, longText) => {
    const calls = Array.from({ length: 20 }, (_, index) => [
      file.write(data, index * data.length),
      file.read(new Uint8Array(200_000), index * data.length),
      volume.stat(path),
      volume.open(path, false).then((other) => other.close()),
      volume.openDirectory('/').then((directory) => directory.read().finally(() => directory.close())),
    ]);
    return [...calls.flat(), file.sync(), volume.stat(longText)];
  };
}

async function nfs(address, mountPort, port, path) {
  const [mountProgram, nfsProgram] = [100_005, 100_003];
  const mounting = new native.Connection(0, 0, timeout_seconds * 1000);
  await mounting.connect(address, Number(mountPort), mountProgram);
  const root = await mounting.mount(path);
  mounting.close();
  const connection = new native.Connection(0, 0, timeout_seconds * 1000);
  await connection.connect(address, Number(port), nfsProgram);
  await connection.create(root, 'abandoned').catch(() => undefined);
  const { handle } = await connection.lookup(root, 'abandoned');
  const data = new Uint8Array(100_000).fill(7);
  return (_, longText) => {
    const calls = Array.from({ length: 20 }, (_, index) => [
      connection.write(handle, index * data.length, data),
      connection.read(handle, index * data.length, new Uint8Array(100_000)),
      connection.lookup(root, 'abandoned'),
      connection.list(root, 0n, 0n),
    ]);
    return [...calls.flat(), connection.commit(handle), connection.lookup(root, longText)];
  };
}
