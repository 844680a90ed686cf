/** skerry volume replicate: copies of a volume in another pool, again and again. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { ReplicationView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, duration, exactSize, when } from './words.js';

const units: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

interface ReplicateOptions {
  readonly to?: string;
  readonly every?: number;
  readonly keep?: number;
  readonly status?: boolean;
  readonly stop?: boolean;
  readonly list?: boolean;
}

export function addReplicate(volume: Command, terminal: Terminal): void {
  volume
    .command('replicate')
    .description('copy a volume to another pool again and again, by what changed since the last copy')
    .argument('[name]', 'a volume; none with --list')
    .option('--to <pool>', 'the pool of the replicas')
    .option('--every <time>', 'from one copy to the next: 30s, 5m, 2h, 1d', parseTime)
    .option('--keep <count>', 'replicas that stay (3)', parseKeep)
    .option('--status', 'only tell how it goes')
    .option('--stop', 'no more copies; the replicas stay')
    .option('--list', 'how it goes for all volumes')
    .addHelpText(
      'after',
      `\nA replica is an image of the other pool, NAME.replica-TIME. Where the volume is lost, a clone of it is a volume at once.\n${examples('skerry volume replicate vm1 --to ceph --every 5m', 'skerry volume replicate vm1 --status', 'skerry clone vm1.replica-20261122t103000 vm1-again', 'skerry volume replicate vm1 --stop', 'skerry volume replicate --list')}`,
    )
    .action(
      withDaemon(terminal, async (context, options: ReplicateOptions, name?: string) => {
        const { client } = context;
        if (isList(options, name)) {
          const views = await client.replications();
          context.result(views, () =>
            views.length === 0
              ? 'no volume is replicated; begin with: skerry volume replicate NAME --to POOL --every 5m'
              : context.table(columns, views),
          );
          return;
        }
        const { to, every, keep, stop = false } = options;
        const volume = name ?? '';
        let view: ReplicationView;
        if (to !== undefined && every !== undefined) {
          view = await client.replicate(volume, { pool: to, everySeconds: every, ...(keep === undefined ? {} : { keep }) });
        } else {
          view = stop ? await client.stopReplication(volume) : await client.replication(volume);
        }
        context.result(view, () => context.facts(replicationFacts(view)));
      }),
    );
}

/** @throws SkerryError invalid for what does not go together */
function isList({ to, every, keep, status = false, stop = false, list = false }: ReplicateOptions, name?: string): boolean {
  const sets = to !== undefined || every !== undefined || keep !== undefined;
  if ([sets, status, stop, list].filter(Boolean).length !== 1 || (sets && (to === undefined || every === undefined)))
    throw new SkerryError('invalid', 'give --to POOL and --every TIME, or one of --status, --stop and --list');
  if (list === (name !== undefined))
    throw new SkerryError('invalid', list ? '--list is of all volumes: give no name' : 'give the name of the volume');
  return list;
}

function parseTime(text: string): number {
  const [, count, unit = 's'] = /^(\d{1,8})([smhd]?)$/.exec(text) ?? [];
  const seconds = Number(count) * (units[unit] ?? Number.NaN);
  if (!(seconds >= 1 && seconds <= 31_622_400)) throw new InvalidArgumentError('write 30s, 5m, 2h or 1d, up to 366d.');
  return seconds;
}

function parseKeep(text: string): number {
  const keep = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (keep < 1 || keep > 10_000) throw new InvalidArgumentError('a number from 1 to 10000.');
  return keep;
}

function replicationFacts(view: ReplicationView): readonly Fact[] {
  const { state, lastAt, lostPages } = view;
  return [
    ['volume', view.volume],
    ['to', view.to],
    ['every', `${duration(view.everySeconds)}; ${counted(view.keep, 'replica')} kept`],
    ['state', state === 'waiting' ? `waiting until ${when(view.nextAt)}` : state],
    ['replica', view.replica ?? 'none yet'],
    ['as of', lastAt === null ? null : when(lastAt)],
    [
      'late',
      view.late ? `the newest replica is to be ${duration(view.everySeconds)} old, and it is ${duration(view.lagSeconds)}` : null,
    ],
    ['last copy', `${exactSize(view.carriedBytes)} read, ${exactSize(view.putBytes)} stored`],
    ['lost', lostPages === 0 ? null : `${counted(lostPages, 'page')} that had rotted before: they are lost in the replica, too`],
    ['error', view.error],
  ];
}

const columns: readonly Column<ReplicationView>[] = [
  { title: 'VOLUME', value: ({ volume }) => volume },
  { title: 'TO', value: ({ to }) => to },
  { title: 'EVERY', value: ({ everySeconds }) => duration(everySeconds), align: 'right', leaveOut: 2 },
  { title: 'LAG', value: ({ lagSeconds }) => duration(lagSeconds), align: 'right' },
  {
    title: 'STATE',
    value: ({ state, late }) => (late ? `${state}, late` : state),
    paint: ({ late, error }) => (late || error !== null ? 'red' : null),
  },
  { title: 'REPLICA', value: ({ replica }) => replica ?? '-', leaveOut: 3 },
  { title: 'ERROR', value: ({ error }) => error ?? '', leaveOut: 1, cutTo: 20 },
];
