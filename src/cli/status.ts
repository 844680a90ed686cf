/** skerry status */
import type { Command } from 'commander';
import type { StatusView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { formatFacts } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, duration } from './words.js';

export function addStatus(program: Command, terminal: Terminal): void {
  program
    .command('status')
    .description('show whether the daemon runs, what it serves and how it fares')
    .action(
      withDaemon(terminal, async (context) => {
        const status = await context.client.status();
        context.result(status, () => statusFacts(status));
      }),
    );
}

function statusFacts(status: StatusView): string {
  const { journal, memory, listeners } = status;
  // Before all else, and a line each: whoever looks at a daemon that fails must not have to search for it.
  const degraded = status.problems.map((problem) => `DEGRADED  ${problem}\n`).join('');
  const facts = formatFacts([
    ['daemon', `version ${status.version}, pid ${status.pid}, up ${duration(status.uptimeSeconds)}`],
    ['health', status.healthy ? 'ok' : 'degraded, see above'],
    ['data', status.dataDirectory],
    ...Object.entries(listeners).map(([name, at]) => [name, at] as const),
    [
      'holds',
      [counted(status.volumes, 'volume'), counted(status.snapshots, 'snapshot'), counted(status.images, 'image')].join(', '),
    ],
    ['attached', counted(status.connections, 'connection')],
    ['journal', `${formatSize(journal.bytes)} of ${formatSize(journal.bytesMax)}${journal.failed ? ', read-only' : ''}`],
    ['memory', `${formatSize(memory.rssBytes)} resident, ${formatSize(memory.overlayBytes)} of it overlay`],
  ]);
  return degraded + facts;
}
