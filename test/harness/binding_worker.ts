/** That a driver's binding survives the end of worker threads with its calls under way (binding_worker.mjs). */
import { join } from 'node:path';

import { bindingPath } from '../../src/driver/native_binding.js';
import { must, packageRoot } from './command.ts';

const times = 12;
const seconds_max = 200;

/** `place`: what the worker connects to. @throws Error where the process does not outlive them all */
export async function terminateWorkers(driver: 'rados' | 'gluster' | 'nfs', place: readonly string[]): Promise<void> {
  const script = join(packageRoot, 'test', 'harness', 'binding_worker.mjs');
  // A sanitizer's. And what was never written must not be taken for anything: the C library fills new memory with this.
  const env = { LD_PRELOAD: process.env['LD_PRELOAD'] ?? '', MALLOC_PERTURB_: '165' };
  const words = [script, driver, bindingPath(driver), String(times), ...place];
  const printed = await must(process.execPath, words, { timeoutSeconds: seconds_max, env });
  if (printed !== 'alive\n') throw new Error(`the process ended early: ${printed}`);
}
