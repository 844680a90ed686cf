/** skerry pool gc: gives space back, and tells how much and why the rest stays. */
import type { Command } from 'commander';
import type { CollectionView } from '../api/shapes.js';
import type { Client } from '../control/client.js';
import { SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize } from './words.js';

/** Less than what a client waits for an answer. */
const wait_seconds = 2;

interface CollectOptions {
  readonly dryRun?: boolean;
  readonly status?: boolean;
}

export function addCollect(pool: Command, terminal: Terminal): void {
  pool
    .command('gc')
    .description('give space back: remove packs that hold little or nothing that is wanted any more')
    .argument('[name]', 'the pool', 'default')
    .option('--dry-run', 'only tell what would be removed')
    .option('--status', 'only tell how the run under way goes, or how the last one went')
    .addHelpText(
      'after',
      `\nRuns in the daemon, while everything goes on; Ctrl-C leaves it running. The daemon does it by itself, too (gcSeconds).\n${examples('skerry pool gc', 'skerry pool gc default --dry-run', 'skerry pool gc --status --json')}`,
    )
    .action(
      withDaemon(terminal, async (context, { dryRun = false, status = false }: CollectOptions, name = 'default') => {
        if (dryRun && status) throw new SkerryError('invalid', '--dry-run begins a run, --status does not: give one of them');
        const view = status ? await context.client.collection(name) : await ended(context.client, terminal, name, dryRun);
        context.result(view, () => context.facts(collectionFacts(view)));
        if (view.state === 'failed') throw new SkerryError('unavailable', `pool ${name} was not collected: ${view.error ?? ''}`);
      }),
    );
}

async function ended(client: Client, terminal: Terminal, name: string, dryRun: boolean): Promise<CollectionView> {
  await client.collectPool(name, { dryRun });
  for (;;) {
    const view = await client.collection(name, wait_seconds);
    if (view.state !== 'running') return view;
    if (terminal.errColumns !== null && view.packsWanted > 0) {
      terminal.err(
        `${view.packsRemoved} of ${counted(view.packsWanted, 'pack')} removed, ${formatSize(view.freedBytes)} freed\n`,
      );
    }
  }
}

function collectionFacts(view: CollectionView): readonly Fact[] {
  const { dryRun, state, halfLive, journalled, damaged } = view;
  const stays = (why: CollectionView['halfLive'], words: string): string | null =>
    why.packs === 0 ? null : `${counted(why.packs, 'pack')} with ${formatSize(why.deadBytes)} dead: ${words}`;
  return [
    ['pool', view.pool],
    ['state', state === 'running' ? `running for ${Math.round(view.seconds)} s` : `${state} in ${view.seconds.toFixed(1)} s`],
    ['looked at', `${counted(view.packs, 'pack')} of ${exactSize(view.storedBytes)}, ${formatSize(view.liveBytes)} of it wanted`],
    [
      dryRun ? 'would remove' : 'removed',
      `${counted(view.packsRemoved, 'pack')} of ${exactSize(view.removedBytes)}, ${dryRun ? 'moving' : 'after moving'} ${formatSize(view.copiedBytes)} out of ${view.packsMoved}`,
    ],
    [dryRun ? 'would free' : 'freed', exactSize(view.freedBytes)],
    ['half live', stays(halfLive, 'too much in them is wanted to be worth moving')],
    ['journalled', stays(journalled, 'the journal names something in them, until that is destaged')],
    [
      'trimmed',
      view.trimsWaiting === 0
        ? null
        : `${counted(view.trimsWaiting, 'volume')} gave back what counts as wanted until it is destaged: ${dryRun ? 'a run does that first' : 'run it again later'}`,
    ],
    ['damaged', stays(damaged, 'they are kept for repair')],
    ['error', view.error],
  ];
}
