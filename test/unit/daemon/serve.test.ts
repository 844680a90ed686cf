import { createServer } from 'node:net';
import { request } from 'node:http';
import { cpSync, existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import pino from 'pino';
import { expect, onTestFinished, test } from 'vitest';

import type { ServeOptions } from '../../../src/daemon/config.js';
import { serve, type RunningDaemon } from '../../../src/daemon/serve.js';
import { codedError, fakeModule } from '../mapper/fake_engine.js';
import { temporaryDirectory } from '../temporary_directory.js';

const logger = pino({ level: 'silent' });

async function start(
  options: ServeOptions = {},
): Promise<{ daemon: RunningDaemon; fake: ReturnType<typeof fakeModule>['engines'][number] }> {
  const module = fakeModule();
  const daemon = await serve(
    { dataDirectory: temporaryDirectory(), httpPort: 0, s3Listen: '127.0.0.1:0', ...options },
    { module, logger },
  );
  onTestFinished(() => daemon.stop());
  const [fake] = module.engines;
  if (fake === undefined) throw new Error('no engine was made');
  return { daemon, fake };
}

function get(daemon: RunningDaemon, path: string): Promise<Response> {
  return fetch(`http://${daemon.listeners['http']}${path}`);
}

/** Over the admin socket. */
function admin(
  daemon: RunningDaemon,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; body: Record<string, unknown> }> {
  return new Promise((resolve, reject) => {
    const headers = body === undefined ? {} : { 'content-type': 'application/json' };
    const call = request({ socketPath: daemon.config.adminSocket, method, path, headers }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (piece: string) => (text += piece));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) as Record<string, unknown> }));
    });
    call.on('error', reject);
    call.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

test('a daemon serves its sockets, health and metrics, and stops in order', async () => {
  const { daemon, fake } = await start({ nbdListen: '127.0.0.1:0' });
  expect(daemon.listeners).toMatchObject({
    nbd: daemon.config.nbdSocket,
    admin: daemon.config.adminSocket,
    nbdTcp: '127.0.0.1:40000',
  });
  expect(statSync(daemon.config.adminSocket).mode & 0o777).toBe(0o600);
  expect(await (await get(daemon, '/health')).json()).toEqual({ state: 'serving', healthy: true, problems: [] });
  expect(fake.options?.ringName).toMatch(/^skerry-[0-9a-f-]{36}$/);
  expect(fake.started?.pools).toHaveLength(1);
  expect(fake.started?.pools[0]).toMatchObject({
    name: 'default',
    remote: null,
    checkpoint: `${daemon.config.dataDirectory}/engine/index.checkpoint`,
    directory: `${daemon.config.dataDirectory}/pool/packs`,
    domain: 1,
    keyId: 1,
  });
  expect(fake.started?.pools[0]?.domainKey).toHaveLength(32);
  await daemon.stop();
  await daemon.stop();
  expect(existsSync(daemon.config.adminSocket)).toBe(false);
  expect(fake.steps.at(-1)).toBe('engine.stop false');
  await expect(get(daemon, '/health')).rejects.toThrow();
});

test('metrics are in the text form, and histograms are cumulative', async () => {
  const { daemon } = await start();
  const created = await admin(daemon, 'POST', '/v1/volumes', { name: 'vm1', sizeBytes: 1 << 20 });
  expect(created.status).toBeLessThan(300);
  const response = await get(daemon, '/metrics');
  expect(response.headers.get('content-type')).toContain('text/plain');
  const lines = (await response.text()).split('\n');
  for (const line of [
    'skerry_nbd_operations_total{operation="read"} 3',
    'skerry_nbd_latency_seconds_bucket{operation="read",le="0.000001"} 1',
    'skerry_nbd_latency_seconds_bucket{operation="read",le="0.000002"} 1',
    'skerry_nbd_latency_seconds_bucket{operation="read",le="+Inf"} 3',
    'skerry_nbd_latency_seconds_sum{operation="read"} 0.5',
    'skerry_nbd_latency_seconds_count{operation="read"} 3',
    '# TYPE skerry_nbd_latency_seconds histogram',
    'skerry_journal_fill_ratio 0.25',
    'skerry_dedup_bytes_total{pool="default"} 65536',
    'skerry_verb_seconds_count{verb="create",outcome="ok"} 1',
  ]) {
    expect(lines).toContain(line);
  }
  expect(lines.some((line) => /^process_resident_memory_bytes \d+$/.test(line))).toBe(true);
  const names = lines.filter((line) => line.startsWith('# TYPE ')).map((line) => line.split(' ')[2]);
  expect(new Set(names).size).toBe(names.length);
});

test('status and pool are told over the admin socket', async () => {
  const { daemon } = await start();
  await admin(daemon, 'POST', '/v1/volumes', { name: 'vm1', sizeBytes: 1 << 20 });
  const status = await admin(daemon, 'GET', '/v1/status');
  expect(status.body).toMatchObject({ healthy: true, volumes: 1, snapshots: 0, images: 0, connections: 2, pid: process.pid });
  const pool = await admin(daemon, 'GET', '/v1/pools/default');
  expect(pool.body).toMatchObject({
    name: 'default',
    driver: 'local',
    logicalBytes: 1 << 20,
    uniqueBytes: 131_072,
    freeBytes: 1000,
    healthy: true,
  });
  expect((await admin(daemon, 'GET', '/v1/pools/other')).status).toBe(404);
});

test('a second daemon on the same directory is refused with the pid of the first, and the first goes on', async () => {
  const { daemon } = await start();
  const { dataDirectory } = daemon.config;
  await expect(
    serve({ dataDirectory, httpPort: 0, s3Listen: '127.0.0.1:0' }, { module: fakeModule(), logger }),
  ).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining(String(process.pid)),
  });
  expect((await get(daemon, '/health')).status).toBe(200);
});

test('two daemons run in one process; a directory keeps its pool, its name and its volumes over a restart', async () => {
  const one = await start();
  const two = await start();
  expect(two.fake.options?.ringName).not.toBe(one.fake.options?.ringName);
  await admin(one.daemon, 'POST', '/v1/volumes', { name: 'vm1', sizeBytes: 1 << 20 });
  expect((await admin(two.daemon, 'GET', '/v1/volumes')).body).toEqual({ volumes: [], next: null });
  await one.daemon.stop();
  const again = await start({ dataDirectory: one.daemon.config.dataDirectory });
  expect(again.fake.options?.ringName).toBe(one.fake.options?.ringName);
  expect(again.fake.started?.pools).toEqual(one.fake.started?.pools);
  expect(again.fake.started?.resources).toHaveLength(1);
});

test('a port that is taken is told of, with the way out, and nothing stays open', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void other.close());
  const { port } = other.address() as AddressInfo;
  const dataDirectory = temporaryDirectory();
  await expect(
    serve({ dataDirectory, httpPort: port, s3Listen: '127.0.0.1:0' }, { module: fakeModule(), logger }),
  ).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('--http-port'),
  });
  await start({ dataDirectory });
});

test('an engine that does not start ends the daemon with its words, and lets go of the directory', async () => {
  const dataDirectory = temporaryDirectory();
  const module = fakeModule();
  const Broken = class extends module.Engine {
    override start(): Promise<never> {
      return Promise.reject(codedError('corrupt', 'segment 3 at 4096: a bad header; start with --salvage-journal'));
    }
  };
  await expect(
    serve({ dataDirectory, httpPort: 0, s3Listen: '127.0.0.1:0' }, { module: { ...module, Engine: Broken }, logger }),
  ).rejects.toMatchObject({
    code: 'corrupt',
    message: expect.stringContaining('segment 3'),
  });
  expect(existsSync(`${dataDirectory}/admin.sock`)).toBe(false);
  await start({ dataDirectory });
});

test('a socket that a killed daemon left is replaced', async () => {
  const first = await start();
  const { dataDirectory, adminSocket } = first.daemon.config;
  await first.daemon.stop();
  const stale = createServer();
  await new Promise<void>((resolve) => stale.listen(adminSocket, resolve));
  onTestFinished(() => void stale.close());
  const { daemon } = await start({ dataDirectory });
  expect((await admin(daemon, 'GET', '/v1/status')).status).toBe(200);
});

test('a daemon whose catalog is gone does not begin with an empty one', async () => {
  const directory = temporaryDirectory();
  const { daemon } = await start({ dataDirectory: directory });
  await admin(daemon, 'POST', '/v1/volumes', { name: 'vm1', sizeBytes: 4096 });
  await daemon.stop();
  rmSync(join(directory, 'catalog'), { recursive: true });
  await expect(start({ dataDirectory: directory })).rejects.toMatchObject({
    code: 'corrupt',
    message: expect.stringContaining('skerry pool recover'),
  });
  expect(existsSync(join(directory, 'catalog'))).toBe(false);
});

test('a daemon is refused the pool of another catalog', async () => {
  const [one, two] = [temporaryDirectory(), temporaryDirectory()];
  for (const dataDirectory of [one, two]) await (await start({ dataDirectory })).daemon.stop();
  rmSync(join(one, 'pool'), { recursive: true });
  cpSync(join(two, 'pool'), join(one, 'pool'), { recursive: true });
  await expect(start({ dataDirectory: one })).rejects.toMatchObject({ code: 'conflict' });
});
