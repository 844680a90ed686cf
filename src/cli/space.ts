/** skerry space: who holds how much. */
import type { Command } from 'commander';
import type { OneSpaceView, PoolSpaceView, ResourceSpaceView, SpaceView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import type { Context } from './context.js';
import { examples } from './examples.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize, percent } from './words.js';

export function addSpace(program: Command, terminal: Terminal): void {
  program
    .command('space')
    .description('who holds how much: what is written, shared and stored, and what deleting it would free')
    .argument('[name]', 'of a volume, VOL@SNAP or an image; else all of them')
    .addHelpText(
      'after',
      `\nALLOCATED is what its map holds, UNIQUE what nothing else holds too, FREES what deleting it alone would give back to the pool.\n${examples('skerry space', 'skerry space vm1', 'skerry space vm1@monday --json')}`,
    )
    .action(
      withDaemon(terminal, async (context, _options, name?: string) => {
        if (name === undefined) {
          const space = await context.client.space();
          context.result(space, () => allSpace(context, space));
          return;
        }
        const space = await context.client.spaceOf(name);
        context.result(space, () =>
          context.facts([
            ['name', space.resource.name],
            ['kind', space.resource.kind],
            ['pool', space.resource.pool],
            ...spaceFacts(space),
          ]),
        );
      }),
    );
}

/** Of a volume, snapshot or image. */
function spaceFacts(space: OneSpaceView): readonly Fact[] {
  const { resource, sharedWith } = space;
  const { snapshots, freedWithSnapshotsBytes } = resource;
  return [
    ['logical', exactSize(resource.logicalBytes)],
    ['allocated', exactSize(resource.allocatedBytes)],
    ['journalled', resource.journalledBytes === 0 ? null : `${exactSize(resource.journalledBytes)}, not yet in blocks`],
    ['unique', exactSize(resource.uniqueBytes)],
    ['shared', exactSize(resource.sharedBytes)],
    [
      'shared with',
      sharedWith.length === 0
        ? null
        : sharedWith.map(({ name, sharedBytes }) => `${name} (${formatSize(sharedBytes)})`).join(', '),
    ],
    ['stored', exactSize(resource.storedBytes)],
    ['deleting frees', exactSize(resource.freedBytes)],
    freedWithSnapshotsBytes === null
      ? ['', null]
      : ['with snapshots', `${exactSize(freedWithSnapshotsBytes)}, together with its ${counted(snapshots, 'snapshot')}`],
    ['as of', asOf(space)],
  ];
}

function allSpace(context: Context, space: Omit<SpaceView, 'next'>): string {
  const { pools, resources } = space;
  const table = resources.length === 0 ? 'no volumes, snapshots or images' : context.table(columns, resources);
  const totals = pools.map((pool) => context.facts(poolFacts(pool)));
  const all = context.facts([
    ['journal', journal(space)],
    ['as of', asOf(space)],
  ]);
  return [table, ...totals, all].join('\n\n');
}

function poolFacts(pool: PoolSpaceView): readonly Fact[] {
  return [
    ['pool', pool.name],
    ['allocated', `${formatSize(pool.allocatedBytes)} of ${formatSize(pool.logicalBytes)}`],
    ['journalled', pool.journalledBytes === 0 ? null : `${formatSize(pool.journalledBytes)}, not yet in blocks`],
    ['distinct', formatSize(pool.uniqueBytes)],
    [
      'stored',
      `${formatSize(pool.storedBytes)}: ${formatSize(pool.referencedBytes)} referenced, ${formatSize(pool.deadBytes)} dead, ${formatSize(pool.overheadBytes)} overhead`,
    ],
    ['saved by', `deduplication ${pool.dedupRatio}x, compression ${pool.compressionRatio}x`],
  ];
}

const columns: readonly Column<ResourceSpaceView>[] = [
  { title: 'NAME', value: ({ name }) => name },
  { title: 'KIND', value: ({ kind }) => kind, leaveOut: 3 },
  { title: 'POOL', value: ({ pool }) => pool, leaveOut: 6 },
  { title: 'SIZE', value: ({ logicalBytes }) => formatSize(logicalBytes), align: 'right', leaveOut: 2 },
  { title: 'ALLOCATED', value: ({ allocatedBytes }) => formatSize(allocatedBytes), align: 'right' },
  { title: 'JOURNALLED', value: ({ journalledBytes }) => formatSize(journalledBytes), align: 'right', leaveOut: 4 },
  { title: 'UNIQUE', value: ({ uniqueBytes }) => formatSize(uniqueBytes), align: 'right' },
  { title: 'SHARED', value: ({ sharedBytes }) => formatSize(sharedBytes), align: 'right', leaveOut: 1 },
  { title: 'STORED', value: ({ storedBytes }) => formatSize(storedBytes), align: 'right', leaveOut: 1 },
  { title: 'FREES', value: ({ freedBytes }) => formatSize(freedBytes), align: 'right' },
  {
    title: 'WITH SNAPSHOTS',
    value: ({ freedWithSnapshotsBytes: bytes }) => (bytes === null ? '-' : formatSize(bytes)),
    align: 'right',
    leaveOut: 5,
  },
];

const journal = ({ journal: { bytes, bytesMax } }: Pick<SpaceView, 'journal'>): string =>
  `${formatSize(bytes)} of ${formatSize(bytesMax)} (${percent(bytes, bytesMax)})`;

function asOf({ asOf: time, incomplete }: { readonly asOf: string; readonly incomplete: string | null }): string {
  const at = new Date(time);
  const two = (value: number): string => String(value).padStart(2, '0');
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return incomplete === null ? clock : `${clock}; INCOMPLETE: ${incomplete}`;
}
