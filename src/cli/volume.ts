/** skerry volume ... and skerry clone. */
import { Option } from 'commander';
import type { Command } from 'commander';
import type { ResourceView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { isObjectUri } from '../core/object_uri.js';
import { formatSize, parseVolumeSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Context } from './context.js';
import { addApply } from './diff.js';
import { addMove } from './move.js';
import { addReplicate } from './replicate.js';
import { checkAgainstSource, checkSource } from './source.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { accessText, addVolumeAccess } from './volume_access.js';
import { volumeCompressionOption } from './compression.js';
import { addLabel, addVolumeChanges, collect, labelText, limitText } from './volume_change.js';
import { attachment, exactSize, when } from './words.js';

interface CreateOptions {
  readonly size?: number;
  readonly pool?: string;
  readonly from?: string;
  readonly durability?: 'local' | 'pool';
  readonly cache?: 'writeback' | 'writethrough';
  readonly description?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly compression?: string;
}

const durability = () =>
  new Option('--durability <where>', 'where a flushed write must be: local (this host) or pool (its pool, too)').choices([
    'local',
    'pool',
  ]);
const cache = () =>
  new Option('--cache <mode>', 'when a write is answered: writeback (default) or writethrough (durable first)').choices([
    'writeback',
    'writethrough',
  ]);

export function addVolume(program: Command, terminal: Terminal): void {
  const volume = program.command('volume').description('create, list, show, change and delete volumes');

  volume
    .command('create')
    .description('create a volume, empty or as a clone of a source')
    .argument('<name>', 'of the new volume: a-z, 0-9 and -, at most 56 characters')
    .option('--size <size>', 'of an empty volume, such as 20G; K, M, G, T are powers of 1024', parseVolumeSize)
    .option('--pool <pool>', 'where its blocks are kept')
    .option('--from <source>', 'make it of this: a volume, VOL@SNAP, an image, or an object as s3://BUCKET/KEY')
    .addOption(durability())
    .addOption(cache())
    .option('--description <text>', 'one line for people')
    .option('--label <key=value>', 'a label; may be given several times', addLabel)
    .addOption(volumeCompressionOption('of what is written to it'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry volume create data --size 20G\n  $ skerry volume create vm1 --from debian-12\n  $ skerry volume create vm2 --from s3://images/debian.raw\n  $ skerry volume create db --size 1T --cache writethrough\n  $ skerry volume create ledger --size 10G --pool far --durability pool\n  $ skerry volume create logs --size 100G --compression zstd',
    )
    .action(withDaemon(terminal, createVolume));

  volume
    .command('list')
    .description('list all volumes, or those with a label')
    .option('--label <key=value>', 'only those with this label, or with any value of KEY; several: with all of them', collect)
    .addHelpText(
      'after',
      examples('skerry volume list', 'skerry volume list --label role=db', 'skerry volume list --json | jq -r .[].name'),
    )
    .action(
      withDaemon(terminal, async (context, { label = [] }: { readonly label?: readonly string[] }) => {
        const volumes = await context.client.volumes(label);
        context.result(volumes, () =>
          volumes.length === 0
            ? label.length > 0
              ? `no volumes with ${label.join(' and ')}`
              : 'no volumes; create one with: skerry volume create NAME --size 20G'
            : context.table(volumeColumns, volumes),
        );
      }),
    );

  volume
    .command('show')
    .description('show all that is known of a volume')
    .argument('<name>')
    .addHelpText('after', examples('skerry volume show vm1'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.volume(name);
        context.result(view, () => context.facts(resourceFacts(view)));
      }),
    );

  volume
    .command('uri')
    .description('print the NBD URI under which any client attaches the volume')
    .argument('<name>', 'a volume, or VOL@SNAP for a snapshot (read-only)')
    .option('--tcp', 'the URI over TCP, where the daemon listens there (serve --nbd-listen)')
    .addHelpText(
      'after',
      '\nExamples:\n  $ qemu-system-x86_64 -m 1G -drive file="$(skerry volume uri vm1)",format=raw,if=virtio\n  $ nbdinfo "$(skerry volume uri vm1@monday)"',
    )
    .action(
      withDaemon(terminal, async (context, options: { readonly tcp?: boolean }, name = '') => {
        const view = await context.client.volumeUri(name);
        const uri = options.tcp === true ? view.tcpUri : view.uri;
        if (uri === null) {
          throw new SkerryError(
            'unavailable',
            'the daemon does not listen on TCP; start it with: skerry serve --nbd-listen HOST:PORT',
          );
        }
        context.result(view, () => uri);
      }),
    );

  addVolumeChanges(volume, terminal);
  addMove(volume, terminal, 'volume');
  addReplicate(volume, terminal);
  addVolumeAccess(volume, terminal);
  addApply(volume, terminal);

  volume
    .command('delete')
    .description('delete a volume that is not attached and has no snapshots')
    .argument('<name>')
    .addHelpText('after', examples('skerry volume delete vm1'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const deleted = await context.client.deleteVolume(name);
        context.result(deleted, () => `deleted volume ${name}`);
      }),
    );
}

export function addClone(program: Command, terminal: Terminal): void {
  program
    .command('clone')
    .description('create a volume that begins equal to a source, in milliseconds and without a copy')
    .argument('<source>', 'a volume, VOL@SNAP, an image, or an object as s3://BUCKET/KEY')
    .argument('<volume>', 'name of the new volume')
    .addOption(durability())
    .addOption(cache())
    .option('--description <text>', 'one line for people')
    .option('--label <key=value>', 'a label; may be given several times', addLabel)
    .addOption(volumeCompressionOption('of what is written to it'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry clone debian-12 vm1\n  $ skerry clone vm1@before-upgrade vm1-old\n  $ skerry clone "s3://images/debian.raw?versionId=$VERSION" vm3',
    )
    .action(
      withDaemon(terminal, (context, options: CreateOptions, source = '', name = '') =>
        createVolume(context, { ...options, from: source }, name),
      ),
    );
}

async function createVolume(context: Context, options: CreateOptions, name = ''): Promise<void> {
  const { client } = context;
  const { size, pool, from, label, ...rest } = options;
  const settings = { ...rest, ...(label === undefined ? {} : { labels: label }) };
  if (from !== undefined) {
    const source = checkSource(from);
    await checkAgainstSource(client, source, { sizeBytes: size, pool });
    const view = await client.clone({ source, name, ...settings });
    context.result(
      view,
      () => `created volume ${view.name} (${formatSize(view.sizeBytes)}), ${isObjectUri(source) ? 'of' : 'a clone of'} ${source}`,
    );
    return;
  }
  if (size === undefined) throw new SkerryError('invalid', 'how large? Give --size 20G, or --from SOURCE to clone one');
  const view = await client.createVolume({ name, sizeBytes: size, ...(pool === undefined ? {} : { pool }), ...settings });
  context.result(view, () => `created volume ${view.name} (${formatSize(view.sizeBytes)})`);
}

const volumeColumns: readonly Column<ResourceView>[] = [
  { title: 'NAME', value: (volume) => volume.name },
  { title: 'SIZE', value: (volume) => formatSize(volume.sizeBytes), align: 'right' },
  { title: 'ATTACHED', value: attachment, leaveOut: 1 },
  { title: 'CACHE', value: (volume) => volume.cache, leaveOut: 4 },
  { title: 'POOL', value: (volume) => volume.pool, leaveOut: 5 },
  { title: 'CREATED', value: (volume) => when(volume.createdAt), leaveOut: 2 },
  { title: 'PARENT', value: (volume) => volume.parent ?? '-', leaveOut: 3, cutTo: 10 },
  { title: 'DESCRIPTION', value: (volume) => volume.description, leaveOut: 6, cutTo: 12 },
  { title: 'LABELS', value: labelText, leaveOut: 5, cutTo: 12 },
];

/** Of a volume, snapshot or image. */
export function resourceFacts(view: ResourceView): readonly Fact[] {
  const isVolume = view.kind === 'volume';
  return [
    ['name', view.name],
    ['kind', view.kind],
    ['size', exactSize(view.sizeBytes)],
    ['pool', view.pool],
    ['description', view.description === '' ? null : view.description],
    ['labels', labelText(view) || null],
    ['created', when(view.createdAt)],
    ['parent', view.parent],
    ['attached', attachment(view)],
    ['unavailable', view.unavailable],
    ['cache', isVolume ? view.cache : null],
    ['durability', isVolume ? view.durability : null],
    ['limit', isVolume ? limitText(view) : null],
    ['compression', isVolume ? (view.compression === 'inherit' ? 'as its pool' : view.compression) : null],
    ['clients', isVolume ? accessText(view) : null],
    ['root', view.pending ? 'pending: its content is in the journal' : view.rootId === '' ? 'empty' : view.rootId],
    ['id', String(view.id)],
  ];
}
