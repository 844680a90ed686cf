/** skerry pool estimate: what files would take, told before they are imported. */
import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { EstimateView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import type { Context } from './context.js';
import { examples } from './examples.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { exactSize } from './words.js';

interface EstimateOptions {
  readonly pool?: string;
  readonly format?: 'raw';
}

const countedKeys = [
  'zeroBytes',
  'dataBytes',
  'distinctBytes',
  'knownBytes',
  'storedBytes',
  'rawBytes',
  'lz4Bytes',
  'zstdBytes',
] as const;
type Counted = Pick<EstimateView, (typeof countedKeys)[number]>;
interface FileEstimate extends Counted {
  readonly path: string;
  readonly fileBytes: number;
}
const nothing: Counted = counts(() => 0);

export function addEstimate(pool: Command, terminal: Terminal): void {
  pool
    .command('estimate')
    .description('tell what raw disks would take in a pool, before anything is imported')
    .argument('<file...>', "on the daemon's host; what several have in common counts with the first")
    .option('--pool <name>', 'the pool to compare with; else the default one')
    .addOption(
      new Option('--format <format>', 'take the files for what this says, whatever their bytes look like').choices(['raw']),
    )
    .addHelpText(
      'after',
      `\nNothing is written. NEW is what neither the pool nor a file before it has; zeroes are never stored.\n${examples('skerry pool estimate debian-12.raw', 'skerry pool estimate /srv/vm/*.raw --json')}`,
    )
    .action(
      withDaemon(terminal, async (context, options: EstimateOptions, ...words) => {
        const files = words.flat().map((file) => pathOf(context, file));
        const { rows, last } = await readAll(context, options, files);
        const { exact, ...totals } = totalsOf(last, rows);
        context.result({ ...totals, exact, files: rows }, () => estimateText(context, rows, { ...totals, exact }));
      }),
    );
}

function pathOf(context: Context, file: string): string {
  if (file === '') throw new SkerryError('invalid', 'name a file to estimate');
  return resolve(context.terminal.directory, file);
}

async function readAll(context: Context, { pool, format }: EstimateOptions, paths: readonly string[]) {
  const { client, terminal } = context;
  const id = await client.beginEstimate(pool === undefined ? {} : { pool });
  const rows: FileEstimate[] = [];
  let last: EstimateView | null = null;
  try {
    for (const path of paths) {
      const before: Counted = last ?? nothing;
      let offset = 0;
      do {
        last = await client.readEstimate(id, { path, offset, ...(format === 'raw' ? { raw: true } : {}) });
        offset = last.next;
        show(terminal, `reading ${path}: ${formatSize(last.next)} of ${formatSize(last.fileBytes)}`);
      } while (last.next < last.fileBytes);
      rows.push({ path, fileBytes: last.fileBytes, ...difference(last, before) });
    }
  } finally {
    show(terminal, '');
    // It would end by itself; what went wrong before is what matters.
    await client.endEstimate(id).catch(() => {});
  }
  return { rows, last };
}

/** On a terminal only, in one line of it. */
function show(terminal: Terminal, text: string): void {
  const columns = terminal.errColumns;
  if (columns !== null) terminal.err(`\r\u001b[K${text.slice(0, columns - 1)}`);
}

/** Numbers that are estimates may go down a little when more is read. */
function difference(now: Counted, before: Counted): Counted {
  return counts((key) => Math.max(0, now[key] - before[key]));
}

function counts(of: (key: keyof Counted) => number): Counted {
  return Object.fromEntries(countedKeys.map((key) => [key, of(key)])) as Counted;
}

function totalsOf(last: EstimateView | null, rows: readonly FileEstimate[]) {
  const { zeroBytes, dataBytes, distinctBytes, knownBytes, storedBytes, rawBytes, lz4Bytes, zstdBytes } = last ?? nothing;
  const newBytes = distinctBytes - knownBytes;
  return {
    fileBytes: rows.reduce((sum, { fileBytes }) => sum + fileBytes, 0),
    zeroBytes,
    dataBytes,
    distinctBytes,
    knownBytes,
    newBytes,
    storedBytes,
    rawBytes,
    lz4Bytes,
    zstdBytes,
    /** Of data over what is new; null where nothing is. */
    dedupRatio: ratio(dataBytes, newBytes),
    /** As a pool tells it: 1 where nothing would be compressed. */
    compressionRatio: ratio(rawBytes, storedBytes),
    exact: last?.exact ?? true,
  };
}

const ratio = (whole: number, part: number): number | null => (part === 0 ? null : Math.round((whole / part) * 100) / 100);

function estimateText(context: Context, rows: readonly FileEstimate[], totals: ReturnType<typeof totalsOf>): string {
  const { exact, dedupRatio, compressionRatio } = totals;
  const about = exact ? '' : 'about ';
  const facts = context.facts([
    ['read', exactSize(totals.fileBytes)],
    ['zeroes', `${exactSize(totals.zeroBytes)}, which are never stored`],
    ['data', exactSize(totals.dataBytes)],
    ['distinct', `${about}${exactSize(totals.distinctBytes)}`],
    ['in the pool', `${about}${exactSize(totals.knownBytes)} of these already`],
    ['would store', `${about}${exactSize(totals.storedBytes)} as the pool compresses now`],
    ['uncompressed', `${about}${exactSize(totals.rawBytes)}`],
    ['with lz4', withCodec(totals.lz4Bytes, totals, about)],
    ['with zstd', withCodec(totals.zstdBytes, totals, about)],
    [
      'saved by',
      dedupRatio === null
        ? 'deduplication: all of it is there'
        : `deduplication ${dedupRatio}x, compression ${compressionRatio ?? 1}x`,
    ],
  ]);
  return rows.length === 1 ? facts : `${context.table(columns, rows)}\n\n${facts}`;
}

function withCodec(bytes: number, { rawBytes }: Counted, about: string): string {
  const saved = rawBytes === 0 ? 0 : Math.max(0, Math.round((1 - bytes / rawBytes) * 100));
  return `${about}${exactSize(bytes)}, ${saved} % less`;
}

const columns: readonly Column<FileEstimate>[] = [
  { title: 'FILE', value: ({ path }) => path },
  { title: 'SIZE', value: ({ fileBytes }) => formatSize(fileBytes), align: 'right' },
  { title: 'DATA', value: ({ dataBytes }) => formatSize(dataBytes), align: 'right', leaveOut: 2 },
  { title: 'NEW', value: ({ distinctBytes, knownBytes }) => formatSize(distinctBytes - knownBytes), align: 'right' },
  { title: 'STORES', value: ({ storedBytes }) => formatSize(storedBytes), align: 'right', leaveOut: 1 },
];
