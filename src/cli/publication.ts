/** skerry publication ... */
import type { Command } from 'commander';
import type { PublicationView } from '../api/publication_shapes.js';
import { SkerryError } from '../core/errors.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';

interface CreateOptions {
  readonly account: string;
  readonly volume?: string;
  readonly images?: true;
  readonly bucket?: string;
  readonly pool?: string;
}

export function addPublication(program: Command, terminal: Terminal): void {
  const publication = program.command('publication').description('show snapshots or images as objects of a bucket');

  publication
    .command('create')
    .description('make a bucket that shows the snapshots of a volume, or images, as objects')
    .requiredOption('--account <account>', 'whose bucket it is')
    .option('--volume <volume>', 'show its snapshots, by their short names')
    .option('--images', 'show the images of a pool')
    .option('--bucket <bucket>', 'instead of volume-NAME, or images')
    .option('--pool <pool>', 'with --images: instead of the default one')
    .addHelpText(
      'after',
      examples(
        'skerry publication create --account acme --volume vm1',
        'skerry publication create --account acme --images --bucket gallery',
      ),
    )
    .action(
      withDaemon(terminal, async (context, { images, volume, ...options }: CreateOptions) => {
        if ((images === true) === (volume !== undefined))
          throw new SkerryError('invalid', 'what is to be shown? Give one of --volume NAME and --images');
        if (volume !== undefined && options.pool !== undefined)
          throw new SkerryError('invalid', '--pool goes with --images: snapshots are in the pool of their volume');
        const view = await context.client.createPublication({ ...options, ...(volume === undefined ? {} : { volume }) });
        context.result(view, () => `bucket ${view.bucket} of account ${view.account} shows ${shown(view)}`);
      }),
    );

  publication
    .command('list')
    .description('list the buckets that show resources as objects')
    .addHelpText('after', examples('skerry publication list'))
    .action(
      withDaemon(terminal, async (context) => {
        const found = await context.client.publications();
        context.result(found, () =>
          found.length === 0
            ? 'nothing is published; skerry publication create --account ACCOUNT --volume NAME shows its snapshots'
            : context.table(columns, found),
        );
      }),
    );

  publication
    .command('delete')
    .description('take a bucket back: snapshots, images and copies of its objects stay')
    .argument('<bucket>')
    .addHelpText('after', examples('skerry publication delete volume-vm1'))
    .action(
      withDaemon(terminal, async (context, _options, bucket = '') => {
        const gone = await context.client.deletePublication(bucket);
        context.result(gone, () => `bucket ${bucket} is gone`);
      }),
    );
}

function shown({ shows, volume, pool }: PublicationView): string {
  if (shows === 'images') return `the images of pool ${pool}`;
  return volume === null ? 'snapshots of a volume that is gone' : `the snapshots of ${volume}`;
}

const columns: readonly Column<PublicationView>[] = [
  { title: 'BUCKET', value: (one) => one.bucket },
  { title: 'ACCOUNT', value: (one) => one.account },
  { title: 'SHOWS', value: (one) => (one.ending ? 'nothing any more' : shown(one)), leaveOut: 1 },
];
