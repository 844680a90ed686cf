/** skerry usage: what an account did, and what it held. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import type { UsageSliceView, UsageView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';

const hour_milliseconds = 3_600_000;
const day_milliseconds = 24 * hour_milliseconds;
const spans = ['hour', 'day', 'all'] as const;
type Span = (typeof spans)[number];

interface UsageOptions {
  readonly from?: number;
  readonly to?: number;
  readonly bucket?: string;
  readonly by: Span;
}

export function addUsage(program: Command, terminal: Terminal): void {
  program
    .command('usage')
    .description('show what an account did: requests, traffic, and what was stored, by bucket')
    .argument('<account>')
    .option('--from <time>', 'the first hour: 2026-11-23, 2026-11-23T10:00Z, or 7d or 12h ago; else a day ago', timeOf)
    .option('--to <time>', 'up to then; else now', timeOf)
    .option('--bucket <name>', 'only what is about this bucket')
    .addOption(new Option('--by <span>', 'add up what lies in one').choices([...spans]).default('hour'))
    .addHelpText(
      'after',
      `\nTimes are of UTC, and begin with the hour. Requests that are about no bucket, such as a list of them, stand under none, and so does what is unique: buckets of an account share what is the same.\n${examples('skerry usage acme', 'skerry usage acme --from 30d --by day', 'skerry usage acme --from 2026-11-01 --to 2026-12-01 --by all --json')}`,
    )
    .action(
      withDaemon(terminal, async (context, options: UsageOptions, account = '') => {
        const now = Date.now();
        const from = Math.floor((options.from ?? now - day_milliseconds) / hour_milliseconds) * hour_milliseconds;
        const view = await context.client.identity.usage(account, {
          from: new Date(from).toISOString(),
          to: new Date(options.to ?? now).toISOString(),
          ...(options.bucket === undefined ? {} : { bucket: options.bucket }),
        });
        const slices = addUp(view, options.by);
        context.result({ ...view, slices }, () => (slices.length === 0 ? 'nothing was done' : context.table(columns, slices)));
      }),
    );
}

const columns: readonly Column<UsageSliceView>[] = [
  // In UTC, as hours are cut: elsewhere they may begin at half past.
  { title: 'FROM (UTC)', value: (slice) => slice.from.slice(0, 16).replace('T', ' ') },
  { title: 'BUCKET', value: (slice) => slice.bucket, cutTo: 12 },
  { title: 'REQUESTS', value: (slice) => String(slice.requests), align: 'right' },
  { title: 'ERRORS', value: (slice) => String(slice.errors), align: 'right', leaveOut: 1 },
  { title: 'IN', value: (slice) => formatSize(slice.bytesIn), align: 'right' },
  { title: 'OUT', value: (slice) => formatSize(slice.bytesOut), align: 'right' },
  { title: 'STORED', value: (slice) => (slice.logicalBytes === null ? '-' : formatSize(slice.logicalBytes)), align: 'right' },
  {
    title: 'UNIQUE',
    value: (slice) => (slice.uniqueBytes === null ? '-' : formatSize(slice.uniqueBytes)),
    align: 'right',
    leaveOut: 3,
  },
  { title: 'OBJECTS', value: (slice) => (slice.objects === null ? '-' : String(slice.objects)), align: 'right', leaveOut: 2 },
];

/** Slices of one bucket that lie in one span become one; they come ordered by time. */
function addUp({ slices, from }: UsageView, by: Span): UsageSliceView[] {
  if (by === 'hour') return slices;
  const sums = new Map<string, UsageSliceView>();
  for (const slice of slices) {
    const begin = by === 'all' ? from : `${slice.from.slice(0, 10)}T00:00:00.000Z`;
    const key = `${begin} ${slice.bucket}`;
    const before = sums.get(key);
    sums.set(key, before === undefined ? { ...slice, from: begin } : sumOf(before, slice));
  }
  return [...sums.values()];
}

function sumOf(a: UsageSliceView, b: UsageSliceView): UsageSliceView {
  const most = (one: number | null, other: number | null): number | null => (other === null ? one : Math.max(one ?? 0, other));
  return {
    from: a.from,
    seconds: a.seconds + b.seconds,
    bucket: a.bucket,
    requests: a.requests + b.requests,
    errors: a.errors + b.errors,
    bytesIn: a.bytesIn + b.bytesIn,
    bytesOut: a.bytesOut + b.bytesOut,
    cells: cellsOf([...a.cells, ...b.cells]),
    logicalBytes: b.logicalBytes ?? a.logicalBytes,
    objects: b.objects ?? a.objects,
    uniqueBytes: b.uniqueBytes ?? a.uniqueBytes,
    logicalBytesMax: most(a.logicalBytesMax, b.logicalBytesMax),
    objectsMax: most(a.objectsMax, b.objectsMax),
  };
}

function cellsOf(cells: UsageSliceView['cells']): UsageSliceView['cells'] {
  const sums = new Map<string, UsageSliceView['cells'][number]>();
  for (const cell of cells) {
    const key = `${cell.operation} ${cell.status}`;
    const { requests = 0, bytesIn = 0, bytesOut = 0 } = sums.get(key) ?? {};
    sums.set(key, {
      ...cell,
      requests: requests + cell.requests,
      bytesIn: bytesIn + cell.bytesIn,
      bytesOut: bytesOut + cell.bytesOut,
    });
  }
  return [...sums.values()];
}

/** Milliseconds since 1970. */
function timeOf(text: string): number {
  const [, ago, unit] = /^(\d{1,4})([dh])$/.exec(text) ?? [];
  if (ago !== undefined) return Date.now() - Number(ago) * (unit === 'd' ? day_milliseconds : hour_milliseconds);
  const [, day, time = '00:00:00'] = /^(\d{4}-\d\d-\d\d)(?:T(\d\d:\d\d(?::\d\d)?)Z?)?$/.exec(text) ?? [];
  const at = Date.parse(`${day ?? ''}T${time}Z`);
  if (Number.isNaN(at)) throw new InvalidArgumentError('write 2026-11-23, 2026-11-23T10:00Z, or 7d or 12h for so long ago.');
  return at;
}
