/** skerry pool scrub: reads everything, repairs what a second copy can, and tells what is damaged. */
import type { Command } from 'commander';
import type { ScrubView } from '../api/shapes.js';
import type { Client } from '../control/client.js';
import { SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize } from './words.js';

/** Less than what a client waits for an answer. */
const wait_seconds = 2;
const findings_shown_max = 20;
type Finding = ScrubView['findings'][number];

export function addScrub(pool: Command, terminal: Terminal): void {
  pool
    .command('scrub')
    .description('read everything from the disk, repair what a second copy can, and tell what is damaged')
    .argument('[name]', 'the pool', 'default')
    .option('--status', 'only tell how the run under way goes, or how the last one went')
    .addHelpText(
      'after',
      `\nRuns in the daemon, while everything goes on; Ctrl-C leaves it running. The daemon does it by itself, too (scrubSeconds).\nEnds with 1 where something is damaged that could not be repaired and that somebody has.\n${examples('skerry pool scrub', 'skerry pool scrub --status --json')}`,
    )
    .action(
      withDaemon(terminal, async (context, { status = false }: { readonly status?: boolean }, name = 'default') => {
        const view = status ? await context.client.scrubbing(name) : await ended(context.client, terminal, name);
        context.result(view, () => {
          const shown = view.findings.slice(0, findings_shown_max);
          const left = view.findingsTotal - shown.length;
          return [
            context.facts(scrubFacts(view)),
            ...(shown.length === 0 ? [] : ['', context.table(findingColumns, shown)]),
            ...(left > 0 ? [`and ${left} more: --json tells the first ${view.findings.length}`] : []),
          ].join('\n');
        });
        if (view.state === 'failed') throw new SkerryError('unavailable', `pool ${name} was not scrubbed: ${view.error ?? ''}`);
        if (view.open > 0) context.exitCode = 1;
      }),
    );
}

async function ended(client: Client, terminal: Terminal, name: string): Promise<ScrubView> {
  await client.scrubPool(name);
  for (;;) {
    const view = await client.scrubbing(name, wait_seconds);
    if (view.state !== 'running') return view;
    if (terminal.errColumns !== null) {
      terminal.err(`${view.packs} of ${counted(view.packsInAll, 'pack')}, ${formatSize(view.bytes)} read\n`);
    }
  }
}

const findingColumns: readonly Column<Finding>[] = [
  { title: 'WHAT', value: ({ what, missing }) => (missing ? `${what}, missing` : what) },
  { title: 'REPAIRED', value: ({ repaired }) => (repaired ? 'yes' : 'no') },
  {
    title: 'RESOURCE',
    value: ({ resource, wanted }) =>
      resource === null ? (wanted ? 'some' : '-') : resource.name === '' ? `id ${resource.id}` : resource.name,
  },
  { title: 'DETAIL', value: ({ detail }) => detail },
];

function scrubFacts(view: ScrubView): readonly Fact[] {
  const { state, damaged, repaired, lost, reindexed, open } = view;
  const result =
    open === 0 ? (view.findingsTotal === 0 ? 'all is well' : 'all that is wanted can be read') : counted(open, 'open finding');
  return [
    ['pool', view.pool],
    ['state', state === 'running' ? `running for ${Math.round(view.seconds)} s` : `${state} in ${view.seconds.toFixed(1)} s`],
    [
      'read',
      `${counted(view.records, 'record')} of ${view.packs} of ${counted(view.packsInAll, 'pack')}, ${exactSize(view.bytes)}`,
    ],
    ['reached', state === 'done' ? `${counted(view.nodesReached, 'map node')}, ${counted(view.blocksReached, 'block')}` : null],
    ['damaged', damaged === 0 ? null : `${counted(damaged, 'record')}, ${repaired} of them repaired`],
    ['lost', lost === 0 ? null : `${counted(lost, 'record')} that somebody has: reading them is an I/O error`],
    ['index', reindexed === 0 ? null : `${counted(reindexed, 'record')} it had lost, and knows again`],
    ['result', state === 'done' ? result : null],
    ['error', view.error],
  ];
}
