/** skerry volume move, image move and pool move: to another pool, while everything goes on. */
import type { Command } from 'commander';
import type { MoveView, ResourceView } from '../api/shapes.js';
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

interface MoveOptions {
  readonly pool?: string;
  readonly status?: boolean;
  readonly cancel?: boolean;
}

export function addMove(of: Command, terminal: Terminal, kind: 'volume' | 'image'): void {
  const what = kind === 'volume' ? 'a volume with its snapshots' : 'an image';
  of.command('move')
    .description(`move ${what} to another pool; those who have it attached go on reading and writing`)
    .argument('<name>')
    .option('--pool <name>', 'where to')
    .option('--status', 'only tell how the move under way goes, or how the last one went')
    .option('--cancel', 'leave it where it is')
    .addHelpText(
      'after',
      `\nRuns in the daemon, also after a restart; Ctrl-C leaves it running. The old pool's space comes back when that is collected.\n${examples(`skerry ${kind} move vm1 --pool ceph`, `skerry ${kind} move vm1 --status`, `skerry ${kind} move vm1 --cancel`)}`,
    )
    .action(
      withDaemon(terminal, async (context, { pool, status = false, cancel = false }: MoveOptions, name = '') => {
        if ([pool !== undefined, status, cancel].filter(Boolean).length !== 1)
          throw new SkerryError('invalid', 'give one of --pool NAME, --status and --cancel');
        const source = `${kind}/${name}`;
        const { client } = context;
        let view: MoveView;
        if (pool !== undefined) view = await moved(client, terminal, source, pool);
        else view = cancel ? await client.cancelMove(source) : await client.move(source);
        context.result(view, () => context.facts(moveFacts(view)));
        if (view.state === 'failed') throw new SkerryError('unavailable', `${kind} ${name} was not moved: ${view.error ?? ''}`);
      }),
    );
}

export function addPoolMove(pool: Command, terminal: Terminal): void {
  pool
    .command('move')
    .description('move all volumes, snapshots and images of a pool to another one')
    .argument('<from>')
    .argument('<to>')
    .addHelpText(
      'after',
      `\nOne after the other, until none is left; given again, it goes on. Then the pool can be deleted.\n${examples('skerry pool move default ceph')}`,
    )
    .action(
      withDaemon(terminal, async (context, _options, from = '', to = '') => {
        const { client } = context;
        await client.pool(from);
        await client.pool(to);
        const done: MoveView[] = [];
        for (let next = await anyIn(client, from); next !== null; next = await anyIn(client, from)) {
          const view = await moved(client, terminal, `${next.kind}/${next.name}`, to);
          if (view.state !== 'done')
            throw new SkerryError('unavailable', `${next.kind} ${next.name} was not moved: ${view.error ?? view.state}`);
          done.push(view);
        }
        context.result(done, () => `pool ${from}: ${done.length} volumes and images moved to ${to}`);
      }),
    );
}

async function moved(client: Client, terminal: Terminal, source: string, pool: string): Promise<MoveView> {
  await client.beginMove(source, pool);
  for (;;) {
    const view = await client.move(source, wait_seconds);
    if (view.state !== 'running') return view;
    if (terminal.errColumns === null) continue;
    const trouble = view.error === null ? '' : `; ${view.error}`;
    terminal.err(
      `${view.name}: ${view.phase}, ${view.carried} of ${view.resources} there, ${formatSize(view.carriedBytes)} read, ${formatSize(view.putBytes)} stored${trouble}\n`,
    );
  }
}

/** A volume or image that is in the pool; null where there is none. */
async function anyIn(client: Client, pool: string): Promise<ResourceView | null> {
  const found = (list: readonly ResourceView[]): ResourceView | undefined => list.find((one) => one.pool === pool);
  return found(await client.volumes()) ?? found(await client.images()) ?? null;
}

function moveFacts(view: MoveView): readonly Fact[] {
  const { state, seconds, lostPages } = view;
  return [
    ['name', view.name],
    ['from', view.from],
    ['to', view.to],
    ['state', state === 'running' ? `${view.phase} for ${Math.round(seconds)} s` : `${state} in ${seconds.toFixed(1)} s`],
    ['moved', view.kind === 'volume' ? `${view.carried} of ${counted(view.resources, 'resource')}` : null],
    ['read', exactSize(view.carriedBytes)],
    ['stored', exactSize(view.putBytes)],
    [
      'lost',
      lostPages === 0 ? null : `${counted(lostPages, 'page')} that had rotted before: reading them is an I/O error there, too`,
    ],
    ['error', view.error],
  ];
}
