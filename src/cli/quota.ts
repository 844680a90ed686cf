/** skerry quota: what an account and its buckets may hold. */
import { InvalidArgumentError, type Command } from 'commander';
import type { QuotaView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { formatSize, parseSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize, percent } from './words.js';

interface QuotaOptions {
  readonly bucket?: string;
  readonly size?: number;
  readonly objects?: number;
}

export function addQuota(program: Command, terminal: Terminal): void {
  program
    .command('quota')
    .description('show what an account and its buckets hold and may hold, or limit it')
    .argument('<account>')
    .option('--bucket <name>', 'limit this bucket, not the whole account')
    .option('--size <size>', 'what may be stored, as users see it: 500G; 0: no limit', quotaBytes)
    .option('--objects <count>', 'how many objects there may be; 0: no limit', quotaObjects)
    .addHelpText(
      'after',
      `\nA limit below what is there takes nothing away; nothing more comes.\n${examples('skerry quota acme', 'skerry quota acme --size 2T --objects 10000000', 'skerry quota acme --bucket photos --size 500G', 'skerry quota acme --size 0')}`,
    )
    .action(
      withDaemon(terminal, async (context, { bucket, size, objects }: QuotaOptions, account = '') => {
        const { identity } = context.client;
        const changes = size !== undefined || objects !== undefined;
        if (bucket !== undefined && !changes)
          throw new SkerryError(
            'invalid',
            'say what the bucket may hold with --size, --objects or both; without --bucket all buckets are shown',
          );
        const view = changes
          ? await identity.setQuota(account, {
              ...(bucket === undefined ? {} : { bucket }),
              ...(size === undefined ? {} : { bytes: size }),
              ...(objects === undefined ? {} : { objects }),
            })
          : await identity.quota(account);
        const buckets = (): string => (view.buckets.length === 0 ? '' : `\n\n${context.table(columns, view.buckets)}`);
        context.result(view, () => context.facts(factsOf(view)) + buckets());
      }),
    );
}

/** `2T, 1000000 objects`. */
export function limitText({ bytes, objects }: QuotaView['quota']): string {
  const parts = [bytes === 0 ? null : formatSize(bytes), objects === 0 ? null : counted(objects, 'object')];
  return parts.filter((part) => part !== null).join(', ') || 'no limit';
}

function factsOf(view: QuotaView): readonly Fact[] {
  const { quota, logicalBytes, objects, reservedBytes } = view;
  return [
    ['account', view.account],
    ['quota', limitText(quota)],
    ['holds', `${exactSize(logicalBytes)} in ${counted(objects, 'object')}`],
    ['of quota', quota.bytes === 0 ? null : percent(logicalBytes, quota.bytes)],
    ['on its way', reservedBytes === 0 ? null : exactSize(reservedBytes)],
  ];
}

const columns: readonly Column<QuotaView['buckets'][number]>[] = [
  { title: 'BUCKET', value: (one) => one.bucket, cutTo: 12 },
  { title: 'LOGICAL', value: (one) => formatSize(one.logicalBytes), align: 'right' },
  { title: 'OBJECTS', value: (one) => String(one.objects), align: 'right' },
  { title: 'QUOTA', value: (one) => limitText(one.quota), leaveOut: 1 },
];

function quotaBytes(text: string): number {
  if (text === '0') return 0;
  try {
    const bytes = parseSize(text);
    if (bytes <= Number.MAX_SAFE_INTEGER) return Number(bytes);
  } catch (error) {
    if (error instanceof SkerryError) throw new InvalidArgumentError(`${error.message}.`);
    throw error;
  }
  throw new InvalidArgumentError(`${text} is larger than any limit: 0 is none.`);
}

function quotaObjects(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('write a whole number; 0: no limit.');
  return Number(text);
}
