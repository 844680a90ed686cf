import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';

import { MemoryDriver } from '../../drivers/memory/driver.js';
import { ChunkFiles } from '../../src/driver/chunk_files.js';
import type { Driver } from '../../src/driver/driver.js';
import { withFault } from '../../src/driver/fault.js';
import { withLimit } from '../../src/driver/limit.js';
import { withRetry, type RetryOptions } from '../../src/driver/retry.js';
import { withTrace } from '../../src/driver/trace.js';
import { lawsOn } from './laws_on.js';

const patient: RetryOptions = {
  pauseMillisecondsFirst: 0,
  pauseMillisecondsMax: 0,
  deadlineMilliseconds: 60_000,
};
const noFaults = { seed: 1 };
/** A third of all calls fail, half of these after they were carried out. */
const manyFaults = (seed: number) =>
  ({
    seed,
    rules: [
      { fault: 'before', chance: 0.17 },
      { fault: 'after', chance: 0.2, code: 'timeout' },
    ],
  }) as const;

const trash: string[] = [];
afterEach(async () => {
  for (const directory of trash.splice(0)) await rm(directory, { recursive: true, force: true });
});
const memory = async (): Promise<Driver> => new MemoryDriver();
const local = async (): Promise<Driver> => {
  const directory = await mkdtemp(join(tmpdir(), 'skerry-local-'));
  trash.push(directory);
  return ChunkFiles.open(join(directory, 'pool'));
};

const subjects: Readonly<Record<string, () => Promise<Driver>>> = {
  memory,
  local,
  'retry(memory)': async () => withRetry(await memory()),
  'limit(memory), one at a time': async () => withLimit(await memory(), { inFlightMax: 1, waitingMax: 1000 }),
  'trace(memory)': async () => withTrace(await memory(), () => undefined),
  'fault(memory), without faults': async () => withFault(await memory(), noFaults),
  'retry(fault(memory)), a third failing': async () => withRetry(withFault(await memory(), manyFaults(1)), patient),
  'retry(fault(local)), a third failing': async () => withRetry(withFault(await local(), manyFaults(2)), patient),
  'trace(retry(limit(local))), as a pool opens it': async () => withTrace(withRetry(withLimit(await local())), () => undefined),
  'limit(trace(retry(fault(limit(memory)))))': async () =>
    withLimit(withTrace(withRetry(withFault(withLimit(await memory()), manyFaults(3)), patient), () => undefined)),
};

for (const [name, open] of Object.entries(subjects)) {
  const sample = await open();
  const { traits } = sample;
  await sample.close();
  lawsOn(name, traits, open);
}
