/**
 * Keeps V8's heap within its share of the daemon's memory (src/daemon/config.ts), however the daemon was started. V8 takes a limit
 * only while a process begins, so one that began without it begins again: same pid, same streams.
 */
import { getHeapStatistics } from 'node:v8';

import { heap_bytes_max, old_space_mebibytes_max, semi_space_mebibytes_max } from '../core/heap.js';

/** Does not return where the process has to begin again. A limit that somebody chose, by flag or NODE_OPTIONS, is left alone. */
export function boundHeap(): void {
  if (getHeapStatistics().heap_size_limit <= heap_bytes_max) return;
  const words = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''];
  if (words.some((word) => /--max[-_]old[-_]space[-_]size/.test(word)) || process.execve === undefined) return;
  // That execve is new in Node is nothing an operator needs to hear of at each start.
  process.removeAllListeners('warning');
  const flags = [
    `--max-old-space-size=${old_space_mebibytes_max}`,
    `--max-semi-space-size=${semi_space_mebibytes_max}`,
    // Little survives of what requests leave: threads that look for it together cost more than they spare, and others want those processors.
    '--no-parallel-scavenge',
  ];
  process.execve(process.execPath, [process.execPath, ...flags, ...process.execArgv, ...process.argv.slice(1)]);
}
