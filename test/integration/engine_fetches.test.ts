/** What was fetched for the engine is read on a thread of its own: its end, while there is more to come. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

import { must, packageRoot } from '../harness/command.ts';

it.each(['stop', 'exit'])('an engine lets go of what was fetched when it ends in the midst of that: %s', async (how) => {
  const directory = mkdtempSync(join(tmpdir(), 'skerry-fetching-'));
  onTestFinished(() => {
    rmSync(directory, { recursive: true, force: true });
    for (const name of readdirSync('/dev/shm')) {
      if (name.startsWith('skerry-fetching-')) rmSync(join('/dev/shm', name), { force: true });
    }
  });
  const script = join(packageRoot, 'test', 'harness', 'fetching_engine.mjs');
  const addon = join(packageRoot, 'build', 'Release', 'skerry.node');
  // What was never written, or is gone, must not be taken for anything: the C library fills memory with this.
  const env = { LD_PRELOAD: process.env['LD_PRELOAD'] ?? '', MALLOC_PERTURB_: '165' };
  for (const count of [1, 50, 500]) {
    const words = [script, addon, join(directory, String(count)), how, String(count)];
    expect(await must(process.execPath, words, { timeoutSeconds: 100, env })).toBe('alive\n');
  }
});
