/** skerry pool check and recover: on a data directory that no daemon has, so they load the daemon's parts themselves. */
import { Option } from 'commander';
import type { Command } from 'commander';
import type { KeySourceText } from '../api/shapes.js';
import type { CheckedContent, PoolCheckView, PoolFindingView, PoolRecoverView, RecoveredView } from '../api/offline.js';
import { SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { dataDirectory } from './context.js';
import { collectSettings, parseSettings } from './driver_settings.js';
import type { GlobalOptions } from './context.js';
import { addKeyOptions, keySourceOf, type KeyOptions } from './encryption.js';
import { formatFacts, formatTable } from './table.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { counted, exactSize, when } from './words.js';

const findings_shown_max = 50;

export function addPoolOffline(pool: Command, terminal: Terminal): void {
  addKeyOptions(pool.command('check'))
    .description('check a pool while no daemon runs: packs, index, maps and roots; changes nothing')
    .argument('[name]', 'the pool; the one in the data directory by default')
    .addOption(new Option('--deep', 'hash all content too, and compare it with its ids').conflicts('quick'))
    .option('--quick', 'read no content: footers, map nodes and root chunks alone')
    .addHelpText(
      'after',
      '\nExits with 0 where all is well, with 1 where anything is not.\n\nExamples:\n  $ skerry pool check\n  $ skerry pool check --deep --json',
    )
    .action(async (name: string | undefined, _options: object, command: Command) => {
      const { deep, quick } = command.opts<{ readonly deep?: boolean; readonly quick?: boolean }>();
      const content: CheckedContent = deep === true ? 'hashes' : quick === true ? 'none' : 'sums';
      const { checkPool } = await import('../daemon/offline.js');
      const view = await checkPool({ ...placeOf(terminal, command, name), content });
      tell(terminal, command, view, () => checkText(view, terminal.outColumns));
      if (view.healthy) return;
      throw new SkerryError('corrupt', `pool ${view.pool}: ${counted(view.findingsTotal, 'finding')}, ${damagedWords(view)}`);
    });

  addKeyOptions(pool.command('recover'))
    .description(
      'make a catalog that is gone anew from what the pool and the journal tell, or from a pool on a backend alone, while no daemon runs',
    )
    .argument('[name]', 'the pool; the one in the data directory, or at the backend, by default')
    .option('--dry-run', 'only tell what would be recovered')
    .option('--replace', 'set a catalog aside that can be read, too')
    .addOption(
      new Option(
        '--driver <driver>',
        'from a backend alone, into a data directory that was never served: the kind of backend',
      ).conflicts('replace'),
    )
    .option('--set <key=value>', 'a setting of the driver, as for skerry pool create', collectSettings, [])
    .option('--take-over', 'the daemon that had the pool has ended for good')
    .addHelpText(
      'after',
      '\nA catalog that is there is moved aside, never deleted. With --driver the data directory is a new one, into which several pools of one lost host are recovered one after the other, and each is taken from whoever had it.\nExits with 1 where something is damaged or lost, which is told.\n\nExamples:\n  $ skerry pool recover --dry-run\n  $ skerry pool recover\n  $ skerry --data /srv/skerry pool recover ceph --driver rados --set pool=skerry --set user=client.skerry --dry-run\n  $ skerry --data /srv/skerry pool recover ceph --driver rados --set pool=skerry --set user=client.skerry --take-over',
    )
    .action(async (name: string | undefined, _options: object, command: Command) => {
      const view = await recovered(placeOf(terminal, command, name), command.opts<RecoverOptions>());
      tell(terminal, command, view, () => recoverText(view, terminal.outColumns));
      const hurt = view.resources.filter(({ state }) => state !== 'whole');
      if (hurt.length === 0) return;
      const done = view.done ? 'the catalog is recovered' : 'nothing was changed';
      throw new SkerryError('corrupt', `${done}; not whole: ${counted(hurt.length, 'resource')}, as told above`);
    });
}

interface RecoverOptions {
  readonly dryRun?: boolean;
  readonly replace?: boolean;
  readonly driver?: string;
  readonly set: readonly string[];
  readonly takeOver?: boolean;
}

async function recovered(place: Place, options: RecoverOptions): Promise<PoolRecoverView> {
  const { dryRun = false, replace = false, driver, set, takeOver = false } = options;
  if (driver !== undefined) {
    const { recoverFromBackend } = await import('../daemon/recover_backend.js');
    return recoverFromBackend({ ...place, driver, settings: parseSettings(set), takeOver, dryRun });
  }
  if (takeOver || set.length > 0)
    throw new SkerryError('invalid', '--set and --take-over are for a pool that is recovered from its backend: say --driver too');
  const { recoverPool } = await import('../daemon/offline.js');
  return recoverPool({ ...place, dryRun, replace });
}

interface Place {
  readonly dataDirectory: string;
  readonly pool?: string;
  readonly key?: KeySourceText;
}

function placeOf(terminal: Terminal, command: Command, pool: string | undefined): Place {
  const options = command.optsWithGlobals<GlobalOptions & KeyOptions>();
  const key = keySourceOf(options);
  if (options.url !== undefined)
    throw new SkerryError('invalid', 'this works on a data directory while no daemon runs: name it with --data, not --url');
  return {
    dataDirectory: dataDirectory(terminal, options),
    ...(pool === undefined ? {} : { pool }),
    ...(key === undefined ? {} : { key }),
  };
}

function tell(terminal: Terminal, command: Command, view: unknown, text: () => string): void {
  const { json } = command.optsWithGlobals<GlobalOptions>();
  terminal.out(`${json === true ? JSON.stringify(view) : text()}\n`);
}

const contentWords: Readonly<Record<CheckedContent, string>> = {
  none: 'not read',
  sums: 'headers and page sums',
  hashes: 'headers, page sums and hashes',
};

const findingColumns: readonly Column<PoolFindingView>[] = [
  { title: 'WHAT', value: ({ what, missing }) => (missing ? `${what}, missing` : what) },
  {
    title: 'RESOURCE',
    value: ({ resource }) => (resource === null ? '-' : resource.name === '' ? `id ${resource.id}` : resource.name),
  },
  {
    title: 'OFFSET',
    value: ({ volumeOffset }) => (volumeOffset === null ? '-' : String(volumeOffset)),
    align: 'right',
    leaveOut: 1,
  },
  { title: 'DETAIL', value: ({ detail }) => detail },
];

function checkText(view: PoolCheckView, width: number | null): string {
  const facts = formatFacts(
    [
      ['pool', view.pool],
      ['directory', view.directory],
      [
        'packs',
        `${counted(view.packs, 'pack')}${view.openPacks === 0 ? '' : ` and ${view.openPacks} open`}, ${exactSize(view.storedBytes)}`,
      ],
      ['records', `${counted(view.blocks, 'block')}, ${counted(view.nodes, 'map node')}; ${contentWords[view.content]}`],
      ['index', view.indexCompared ? 'compared' : 'no checkpoint'],
      [
        'resources',
        `${counted(view.resources, 'resource')}, ${counted(view.rootChunks, 'root chunk')}, ${counted(view.tombstones, 'tombstone')}`,
      ],
      ['reached', `${counted(view.nodesReached, 'map node')}, ${counted(view.blocksReached, 'block')}`],
      ['journal', counted(view.journalRecords, 'record')],
      [
        'damaged',
        view.damaged.length === 0 ? null : view.damaged.map(({ id, name }) => (name === '' ? `id ${id}` : name)).join(', '),
      ],
      ['result', view.healthy ? 'all is well' : counted(view.findingsTotal, 'finding')],
    ],
    { width },
  );
  const shown = view.findings.slice(0, findings_shown_max);
  const left = view.findingsTotal - shown.length;
  return [
    facts,
    ...view.notes.map((note) => `note: ${note}`),
    ...(shown.length === 0 ? [] : ['', formatTable(findingColumns, shown, { width })]),
    ...(left > 0 ? [`and ${left} more: --json tells the first ${view.findings.length}`] : []),
  ].join('\n');
}

function damagedWords({ damaged }: PoolCheckView): string {
  return damaged.length === 0 ? 'and no resource misses content' : `${counted(damaged.length, 'resource')} cannot be read whole`;
}

const recoveredColumns: readonly Column<RecoveredView>[] = [
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'NAME', value: ({ name, id }) => (name === '' ? `id ${id}` : name) },
  { title: 'SIZE', value: ({ sizeBytes }) => formatSize(sizeBytes), align: 'right' },
  { title: 'STATE', value: ({ state }) => state },
  { title: 'ROOT OF', value: ({ rootFrom }) => (rootFrom === null ? '-' : when(rootFrom)) },
  {
    title: 'JOURNAL',
    value: ({ journalRecords }) => (journalRecords === 0 ? '-' : `+ ${journalRecords}`),
    align: 'right',
    leaveOut: 1,
  },
];

function recoverText(view: PoolRecoverView, width: number | null): string {
  const facts = formatFacts(
    [
      ['pool', view.pool],
      ['place', view.directory],
      ['as of', view.asOf === null ? 'the pool tells of nothing' : when(view.asOf)],
      ['journal', view.journal],
      ['deleted', `${counted(view.deleted, 'resource')}, which stay so`],
      ['was', view.owner],
      ['old catalog', view.movedTo],
      ['result', view.done ? 'the catalog is made anew: start the daemon' : 'nothing was changed (--dry-run)'],
    ],
    { width },
  );
  const notes = view.resources.flatMap(({ name, id, notes: own }) =>
    own.map((note) => `${name === '' ? `id ${id}` : name}: ${note}`),
  );
  return [
    facts,
    ...(view.resources.length === 0 ? [] : ['', formatTable(recoveredColumns, view.resources, { width })]),
    '',
    ...notes,
    ...view.notes.map((note) => `note: ${note}`),
  ].join('\n');
}
