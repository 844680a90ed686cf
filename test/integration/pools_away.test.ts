/** A start and an end of the daemon while no backend of several pools answers. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';

import { allDrivers } from '../../drivers/all.ts';
import { connect } from '../../src/control/client.ts';
import { serve, type RunningDaemon } from '../../src/daemon/serve.ts';
import { ChunkFiles } from '../../src/driver/chunk_files.ts';
import type { DriverTraits } from '../../src/driver/driver.ts';
import { registerDriver } from '../../src/driver/registry.ts';

const pools = ['a', 'b', 'c', 'd'];
/** Each is waited for five seconds: one after the other they would take twenty. */
const start_milliseconds_max = 15_000;
const traits: DriverTraits = { chunkBytesMax: 1 << 30, inFlightMax: 32, readAfterWrite: true, refusesRewrite: true };

it('four backends that are silent cost a start the patience for one, and its end next to none', async () => {
  const scratch = mkdtempSync(join(tmpdir(), 'skerry-away-'));
  let silence: PromiseWithResolvers<void> | null = null;
  const opened: string[] = [];
  const far = registerDriver({
    name: 'far',
    description: 'Files as if they were far away',
    settings: z.strictObject({ directory: z.string() }),
    async open({ directory }) {
      await silence?.promise;
      opened.push(directory);
      return ChunkFiles.open(directory, false);
    },
    traitsWhileAway: () => traits,
  });
  const start = (): Promise<RunningDaemon> =>
    serve(
      {
        dataDirectory: join(scratch, 'data'),
        httpPort: 0,
        s3Listen: '127.0.0.1:0',
        ringBytes: '16M',
        segmentBytes: '4M',
        journalBytesMax: '64M',
      },
      { logger: pino({ level: 'silent' }), registry: [...allDrivers, far] },
    );
  let daemon = await start();
  onTestFinished(async () => {
    silence?.resolve();
    await daemon.stop();
    rmSync(scratch, { recursive: true });
  });
  const client = connect({ dataDirectory: join(scratch, 'data') });
  onTestFinished(() => client.close());
  for (const name of pools) {
    await client.createPool({ name, driver: 'far', settings: { directory: join(scratch, name) } });
    await client.createVolume({ name: `of-${name}`, sizeBytes: 1 << 20, pool: name });
  }
  await daemon.stop();

  silence = Promise.withResolvers();
  opened.length = 0;
  const began = performance.now();
  daemon = await start();
  expect(performance.now() - began).toBeLessThan(start_milliseconds_max);
  expect(opened).toEqual([]);
  expect((await client.volumes()).map(({ name }) => name).toSorted()).toEqual(pools.map((name) => `of-${name}`));
  const ending = performance.now();
  await daemon.stop();
  expect(performance.now() - ending).toBeLessThan(start_milliseconds_max);

  silence.resolve();
  silence = null;
  daemon = await start();
  await expect.poll(async () => (await client.status()).healthy, { timeout: 60_000 }).toBe(true);
});
