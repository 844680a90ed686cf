/** skerry snapshot ... */
import type { Command } from 'commander';
import type { ResourceView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import { addDiff } from './diff.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { attachment, when } from './words.js';

export function addSnapshot(program: Command, terminal: Terminal): void {
  const snapshot = program.command('snapshot').description('create, list, compare and delete snapshots of volumes');

  snapshot
    .command('create')
    .description('keep a volume as it is now, without stopping its writes')
    .argument('<vol@snap>', 'the volume and the name of the new snapshot')
    .option('--description <text>', 'one line for people')
    .addHelpText('after', '\nExamples:\n  $ skerry snapshot create vm1@before-upgrade')
    .action(
      withDaemon(terminal, async (context, options: { readonly description?: string }, name = '') => {
        const view = await context.client.createSnapshot({ name, ...options });
        context.result(view, () => `created snapshot ${view.name} (${formatSize(view.sizeBytes)})`);
      }),
    );

  snapshot
    .command('list')
    .description('list the snapshots of a volume, or all')
    .argument('[volume]')
    .addHelpText('after', examples('skerry snapshot list', 'skerry snapshot list vm1'))
    .action(
      withDaemon(terminal, async (context, _options, volume?: string) => {
        const snapshots = await context.client.snapshots(volume);
        context.result(snapshots, () =>
          snapshots.length === 0
            ? `no snapshots; create one with: skerry snapshot create ${volume ?? 'VOL'}@SNAP`
            : context.table(snapshotColumns, snapshots),
        );
      }),
    );

  addDiff(snapshot, terminal);

  snapshot
    .command('delete')
    .description('delete a snapshot; clones of it live on')
    .argument('<vol@snap>')
    .addHelpText('after', examples('skerry snapshot delete vm1@before-upgrade'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const deleted = await context.client.deleteSnapshot(name);
        context.result(deleted, () => `deleted snapshot ${name}`);
      }),
    );
}

const snapshotColumns: readonly Column<ResourceView>[] = [
  { title: 'NAME', value: (snapshot) => snapshot.name },
  { title: 'SIZE', value: (snapshot) => formatSize(snapshot.sizeBytes), align: 'right' },
  { title: 'CREATED', value: (snapshot) => when(snapshot.createdAt), leaveOut: 1 },
  { title: 'ROOT', value: (snapshot) => (snapshot.pending ? 'pending' : 'in pool'), leaveOut: 3 },
  { title: 'ATTACHED', value: attachment, leaveOut: 2 },
  { title: 'DESCRIPTION', value: (snapshot) => snapshot.description, leaveOut: 4, cutTo: 12 },
];
