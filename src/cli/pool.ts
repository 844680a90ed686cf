/** skerry pool ... */
import type { Command } from 'commander';
import type { PoolView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { addPoolOffline } from './pool_offline.js';
import { formatFacts, formatTable } from './table.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize } from './words.js';

export function addPool(program: Command, terminal: Terminal): void {
  const pool = program.command('pool').description('list pools, show what they hold, check and recover them');

  pool
    .command('list')
    .description('list all pools')
    .action(
      withDaemon(terminal, async (context) => {
        const pools = await context.client.pools();
        context.result(pools, () => formatTable(poolColumns, pools, terminal.outColumns));
      }),
    );

  pool
    .command('show')
    .description('show a pool: what users see, what it stores, what deduplication saved')
    .argument('[name]', 'the pool', 'default')
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.pool(name);
        context.result(view, () => poolFacts(view));
      }),
    );

  addPoolOffline(pool, terminal);
}

const poolColumns: readonly Column<PoolView>[] = [
  { title: 'NAME', value: (pool) => pool.name },
  { title: 'DRIVER', value: (pool) => pool.driver },
  { title: 'HEALTH', value: (pool) => (pool.healthy ? 'ok' : 'failing') },
  { title: 'LOGICAL', value: (pool) => formatSize(pool.logicalBytes), align: 'right', leaveOut: 2 },
  { title: 'STORED', value: (pool) => formatSize(pool.storedBytes), align: 'right' },
  { title: 'FREE', value: (pool) => (pool.freeBytes === null ? '-' : formatSize(pool.freeBytes)), align: 'right' },
  { title: 'VOLUMES', value: (pool) => String(pool.volumes), align: 'right', leaveOut: 1 },
];

function poolFacts(pool: PoolView): string {
  return formatFacts([
    ['name', pool.name],
    ['driver', pool.driver],
    ['health', pool.healthy ? 'ok' : `failing: ${pool.problem ?? 'no reason is known'}`],
    ['holds', [counted(pool.volumes, 'volume'), counted(pool.snapshots, 'snapshot'), counted(pool.images, 'image')].join(', ')],
    ['logical', exactSize(pool.logicalBytes)],
    ['unique', exactSize(pool.uniqueBytes)],
    ['stored', `${exactSize(pool.storedBytes)} in ${counted(pool.packs, 'pack')}`],
    ['free', pool.freeBytes === null ? null : exactSize(pool.freeBytes)],
    ['deduplicated', `${exactSize(pool.dedupBytes)} since the daemon started`],
    ['blocks', `${counted(pool.blocks, 'block')}, ${counted(pool.nodes, 'map node')}`],
    [
      'corrupt',
      pool.corruptPages === 0 ? 'no pages' : `${counted(pool.corruptPages, 'page')} since the daemon started: see its log`,
    ],
  ]);
}
