/** skerry pool ... */
import type { Command } from 'commander';
import type { PoolView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { addCollect } from './collect.js';
import { addPoolMove } from './move.js';
import { addScrub } from './scrub.js';
import { compressionOption } from './compression.js';
import { addChangeKey, addKeyOptions, encryptionOf, type KeyOptions } from './encryption.js';
import { collectSettings, parseSettings } from './driver_settings.js';
import { addEstimate } from './estimate.js';
import { examples } from './examples.js';
import { addPoolOffline } from './pool_offline.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize } from './words.js';

export function addPool(program: Command, terminal: Terminal): void {
  const pool = program
    .command('pool')
    .description(
      'make, list, show, collect, scrub, check and recover the places where blocks are kept, and estimate what disks would take there',
    );

  addKeyOptions(
    pool
      .command('create')
      .description('make a pool of a configured backend')
      .argument('<name>')
      .option(
        '--encrypt',
        'encrypt what the pool holds, names and content, before it is stored; for ever, and from the beginning only',
      ),
  )
    .requiredOption('--driver <driver>', 'the kind of backend: local, rados, gluster, nfs, s3, riak-cs, memory')
    .option('--set <key=value>', 'a setting of the driver, or of the pool: on-outage, stall-seconds', collectSettings, [])
    .addOption(compressionOption('of what its volumes write'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry pool create fast --driver local --set path=/mnt/nvme/skerry\n  $ skerry volume create db --size 100G --pool fast\n  $ skerry pool create slow --driver local --set path=/mnt/hdd/skerry --compression zstd\n  $ skerry pool create ceph --driver rados --set pool=skerry --set user=client.skerry\n  $ skerry pool create bricks --driver gluster --set host=gluster1 --set volume=skerry\n  $ skerry pool create filer --driver nfs --set "url=nfs://filer/export/skerry"\n  $ skerry pool create cloud --driver s3 --set endpoint=https://s3.example.org --set bucket=skerry --set access-key=KEY --set secret-key-file=/etc/skerry/s3.key\n  $ openssl rand -hex 32 > /etc/skerry/vault.key; chmod 600 /etc/skerry/vault.key\n  $ skerry pool create vault --driver local --set path=/mnt/usb/skerry --encrypt --key-file /etc/skerry/vault.key\n\nAn encrypted pool cannot be read without its key: keep a copy of it elsewhere.',
    )
    .action(
      withDaemon(terminal, async (context, { driver, set, compression, ...key }: CreateOptions, name = '') => {
        const view = await context.client.createPool({
          name,
          driver,
          settings: parseSettings(set),
          ...(compression === undefined ? {} : { compression }),
          ...encryptionOf(key),
        });
        for (const warning of view.warnings) terminal.err(`skerry: WARNING: ${warning}\n`);
        context.result(view, () => `created pool ${name} (${view.driver})`);
      }),
    );

  pool
    .command('set')
    .description('change how blocks are compressed that are written from now on; those that are there stay as they are')
    .argument('<name>')
    .addOption(compressionOption('of what its volumes write from now on').makeOptionMandatory())
    .addHelpText(
      'after',
      `\nA volume may say otherwise: skerry volume set NAME --compression HOW.\n${examples('skerry pool set default --compression lz4', 'skerry pool set default --compression zstd:9', 'skerry pool set default --compression none')}`,
    )
    .action(
      withDaemon(terminal, async (context, { compression }: { readonly compression: string }, name = '') => {
        const view = await context.client.setPool(name, { compression });
        context.result(view, () => `pool ${name}: new blocks are stored with compression ${view.compression}`);
      }),
    );

  pool
    .command('delete')
    .description('forget a pool that holds no volume, snapshot or image; its backend keeps what is there')
    .argument('<name>')
    .addHelpText('after', examples('skerry pool delete fast'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const deleted = await context.client.deletePool(name);
        context.result(deleted, () => `deleted pool ${name}`);
      }),
    );

  pool
    .command('list')
    .description('list all pools')
    .addHelpText('after', examples('skerry pool list'))
    .action(
      withDaemon(terminal, async (context) => {
        const pools = await context.client.pools();
        context.result(pools, () => context.table(poolColumns, pools));
      }),
    );

  pool
    .command('show')
    .description('show a pool: what users see, what it stores, what deduplication saved')
    .argument('[name]', 'the pool', 'default')
    .addHelpText('after', examples('skerry pool show', 'skerry pool show default --json'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.pool(name);
        context.result(view, () => context.facts(poolFacts(view)));
      }),
    );

  addChangeKey(pool, terminal);
  addCollect(pool, terminal);
  addPoolMove(pool, terminal);
  addScrub(pool, terminal);
  addPoolOffline(pool, terminal);
  addEstimate(pool, terminal);
}

interface CreateOptions extends KeyOptions {
  readonly encrypt?: boolean;
  readonly driver: string;
  readonly set: readonly string[];
  readonly compression?: string;
}

const poolColumns: readonly Column<PoolView>[] = [
  { title: 'NAME', value: (pool) => pool.name },
  { title: 'DRIVER', value: (pool) => pool.driver },
  { title: 'HEALTH', value: (pool) => (pool.healthy ? 'ok' : 'failing'), paint: (pool) => (pool.healthy ? 'green' : 'red') },
  { title: 'LOGICAL', value: (pool) => formatSize(pool.logicalBytes), align: 'right', leaveOut: 2 },
  { title: 'STORED', value: (pool) => formatSize(pool.storedBytes), align: 'right' },
  { title: 'FREE', value: (pool) => (pool.freeBytes === null ? '-' : formatSize(pool.freeBytes)), align: 'right' },
  { title: 'VOLUMES', value: (pool) => String(pool.volumes), align: 'right', leaveOut: 1 },
];

function poolFacts(pool: PoolView): readonly Fact[] {
  return [
    ['name', pool.name],
    ['driver', pool.driver],
    [
      'settings',
      Object.entries(pool.settings)
        .map(([key, value]) => `${key}=${value}`)
        .join(', '),
    ],
    ['reached', pool.remote ? 'through its driver: packs are shipped and fetched' : 'directly, as files of this host'],
    ['health', pool.healthy ? 'ok' : `failing: ${pool.problem ?? 'no reason is known'}`],
    ['holds', [counted(pool.volumes, 'volume'), counted(pool.snapshots, 'snapshot'), counted(pool.images, 'image')].join(', ')],
    ['logical', exactSize(pool.logicalBytes)],
    ['unique', exactSize(pool.uniqueBytes)],
    ['stored', `${exactSize(pool.storedBytes)} in ${counted(pool.packs, 'pack')}`],
    ['free', pool.freeBytes === null ? null : exactSize(pool.freeBytes)],
    [
      'compression',
      `${pool.compression}; ${pool.compressionRatio}x: ${formatSize(pool.uncompressedBytes)} in ${formatSize(pool.recordBytes)}`,
    ],
    ['encryption', pool.keyFrom === null ? pool.encryption : `${pool.encryption}, with the key from ${pool.keyFrom}`],
    ['deduplicated', `${exactSize(pool.dedupBytes)} since the daemon started`],
    ['blocks', `${counted(pool.blocks, 'block')}, ${counted(pool.nodes, 'map node')}`],
    ['to be shipped', pool.remote ? exactSize(pool.stagedBytes) : null],
    ['to be removed', pool.removalsWaiting === 0 ? null : `${counted(pool.removalsWaiting, 'pack')} that the backend still has`],
    ['copies here', pool.remote ? exactSize(pool.keptBytes) : null],
    [
      'moved',
      pool.remote
        ? `${formatSize(pool.shippedBytes)} shipped, ${formatSize(pool.fetchedBytes)} fetched since the daemon started`
        : null,
    ],
    ['warning', pool.warnings.length === 0 ? null : pool.warnings.join('; ')],
    [
      'corrupt',
      pool.corruptPages === 0 ? 'no pages' : `${counted(pool.corruptPages, 'page')} since the daemon started: see its log`,
    ],
  ];
}
