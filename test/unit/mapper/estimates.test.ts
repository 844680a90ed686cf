import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';

import { Estimates } from '../../../src/mapper/estimates.js';
import { temporaryDirectory } from '../temporary_directory.js';
import { FakeEngine } from './fake_engine.js';

function disk(head: string | Uint8Array): string {
  const path = join(temporaryDirectory(), 'disk');
  writeFileSync(path, Buffer.concat([Buffer.from(head), Buffer.alloc(8192)]));
  return path;
}

it('a raw disk is read on and told of, and an estimate that has ended is there no more', async () => {
  const steps: string[] = [];
  const estimates = new Estimates({ engine: new FakeEngine(steps) });
  const id = await estimates.begin('default');
  const path = disk('');
  expect(await estimates.read(id, { path, offset: 0 })).toMatchObject({ next: 2 ** 20, exact: true });
  await estimates.end(id);
  await expect(estimates.read(id, { path, offset: 0 })).rejects.toMatchObject({ code: 'not-found' });
  await expect(estimates.end(id)).rejects.toMatchObject({ code: 'not-found' });
  expect(steps).toEqual(['engine.estimate begin default', `engine.estimate read ${id} ${path} 0`, `engine.estimate end ${id}`]);
});

it('what is no raw disk is refused before it is read, unless it only looks so, and the estimate goes on', async () => {
  const estimates = new Estimates({ engine: new FakeEngine([]) });
  const id = await estimates.begin('default');
  const path = disk('');
  writeFileSync(path, Buffer.from([0x51, 0x46, 0x49, 0xfb, 0, 0, 0, 3]));
  await expect(estimates.read(id, { path, offset: 0 })).rejects.toMatchObject({ code: 'invalid' });
  await expect(estimates.read(id, { path: '/none/here', offset: 0 })).rejects.toMatchObject({ code: 'not-found' });
  await expect(estimates.read(id, { path: '/dev/zero', offset: 0 })).rejects.toThrow('/dev/zero is not a file');
  expect(await estimates.read(id, { path, offset: 0, raw: true })).toMatchObject({ exact: true });
});

it('one that nobody reads on ends by itself', async () => {
  const steps: string[] = [];
  const estimates = new Estimates({ engine: new FakeEngine(steps), idleMilliseconds: 20 });
  const id = await estimates.begin('default');
  while (!steps.includes(`engine.estimate end ${id}`)) await sleep(5);
  await expect(estimates.read(id, { path: disk(''), offset: 0 })).rejects.toMatchObject({ code: 'not-found' });
});
