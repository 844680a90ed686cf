/** skerry status: what is wrong before all else, and an exit code that tells. */
import type { Command } from 'commander';
import type { StatusView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { wrapped } from './characters.js';
import { withDaemon } from './context.js';
import type { Context } from './context.js';
import { examples } from './examples.js';
import type { Terminal } from './terminal.js';
import { counted, duration, percent } from './words.js';

const degraded = 'DEGRADED';

export function addStatus(program: Command, terminal: Terminal): void {
  program
    .command('status')
    .description('show what is wrong with the daemon, then what it serves and how it fares')
    .addHelpText(
      'after',
      `\nIt ends with 0 while all is well, and with 1 where something is wrong or no daemon answers.${examples(
        'skerry status',
        'skerry status --json | jq -r .problems[]',
        "skerry status >/dev/null || mail -s 'skerry needs you' root",
      )}`,
    )
    .action(
      withDaemon(terminal, async (context) => {
        const status = await context.client.status();
        context.result(status, () => statusText(context, status));
        if (status.problems.length > 0) context.exitCode = 1;
      }),
    );
}

/** Before all else, and one after the other: whoever looks at a daemon that fails must not have to search for it. */
export function problemLines({ paint, terminal }: Context, problems: readonly string[]): string[] {
  const indent = degraded.length + 2;
  return problems.map((problem) => `${paint(degraded, 'red')}  ${wrapped(problem, terminal.outColumns, indent)}`);
}

function localCacheText({ bytes, bytesMax, hits, misses, failed }: StatusView['localCache']): string {
  if (failed) return 'not used until the daemon is started again: its disk failed or was full, as the log says';
  if (bytesMax === 0) return 'none';
  const found = hits + misses === 0 ? '' : `, ${percent(hits, hits + misses)} of reads found there`;
  return `${formatSize(bytes)} of at most ${formatSize(bytesMax)}${found}`;
}

function statusText(context: Context, status: StatusView): string {
  const { journal, memory, listeners } = status;
  const facts = context.facts([
    ['health', status.healthy ? context.paint('ok', 'green') : context.paint('degraded, see above', 'red')],
    ['daemon', `version ${status.version}, pid ${status.pid}, up ${duration(status.uptimeSeconds)}`],
    ['data', status.dataDirectory],
    ...Object.entries(listeners).map(([name, at]) => [name, at] as const),
    [
      'holds',
      [counted(status.volumes, 'volume'), counted(status.snapshots, 'snapshot'), counted(status.images, 'image')].join(', '),
    ],
    ['attached', counted(status.connections, 'connection')],
    [
      'journal',
      `${percent(journal.bytes, journal.bytesMax)} full (${formatSize(journal.bytes)} of ${formatSize(journal.bytesMax)})${journal.failed ? ', read-only' : ''}`,
    ],
    // Without a pool on a backend there is nothing in it.
    ['local cache', status.localCache.bytes === 0 && !status.localCache.failed ? null : localCacheText(status.localCache)],
    ['memory', `${formatSize(memory.rssBytes)} resident, ${formatSize(memory.overlayBytes)} of it overlay`],
  ]);
  return [...problemLines(context, status.problems), facts].join('\n');
}
