/** What was fetched for the engine is read on a thread of its own: its end, while there is more to come. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

import { must, packageRoot } from '../harness/command.ts';

it('a worker thread terminated while an engine reads what was fetched leaves the process alive', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skerry-fetching-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true, force: true });
    for (const name of readdirSync('/dev/shm')) {
      if (name.startsWith('skerry-fetching-')) rmSync(join('/dev/shm', name), { force: true });
    }
  });
  const script = join(packageRoot, 'test', 'harness', 'fetching_worker.mjs');
  const addon = join(packageRoot, 'build', 'Release', 'skerry.node');
  // What was never written, or is gone, must not be taken for anything: the C library fills memory with this.
  const env = { LD_PRELOAD: process.env['LD_PRELOAD'] ?? '', MALLOC_PERTURB_: '165' };
  expect(await must(process.execPath, [script, addon, directory, '8'], { timeoutSeconds: 200, env })).toBe('alive\n');
});
