/** skerry volume resize, rollback, rename, set and limit: what changes a volume that is there. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { ResourceView, SetRequest } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { formatSize, parseSize, parseVolumeSize } from '../core/sizes.js';
import { volumeCompressionOption } from './compression.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import type { Terminal } from './terminal.js';

export function addVolumeChanges(volume: Command, terminal: Terminal): void {
  volume
    .command('resize')
    .description('make a volume larger, or with --shrink smaller; those who attach it from now on see the new size')
    .argument('<name>')
    .argument('<size>', 'the new size, such as 40G', parseVolumeSize)
    .option('--shrink', 'yes, make it smaller: what lies past the new end is given up')
    .addHelpText('after', '\nExamples:\n  $ skerry volume resize vm1 40G\n  $ skerry volume resize vm1 10G --shrink')
    .action(
      withDaemon(terminal, async (context, { shrink }: { readonly shrink?: boolean }, name = '', size: unknown = 0) => {
        const view = await context.client.resizeVolume(name, {
          sizeBytes: size as number,
          ...(shrink === undefined ? {} : { shrink }),
        });
        const seen = view.attachedConnections === 0 ? '' : '; connections that are open keep the size they began with';
        context.result(view, () => `volume ${name} has ${formatSize(view.sizeBytes)} now${seen}`);
      }),
    );

  volume
    .command('rollback')
    .description('make a volume what a snapshot of it is; it must not be attached')
    .argument('<vol@snap>', 'the snapshot to go back to; later ones stay')
    .addHelpText('after', '\nExamples:\n  $ skerry volume rollback vm1@before-upgrade')
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.rollback(name);
        context.result(view, () => `volume ${view.name} is what ${name} is (${formatSize(view.sizeBytes)})`);
      }),
    );

  volume
    .command('rename')
    .description('give a volume another name; its snapshots follow, and its connections go on')
    .argument('<old>')
    .argument('<new>')
    .addHelpText('after', examples('skerry volume rename vm1 db1'))
    .action(
      withDaemon(terminal, async (context, _options, name = '', to = '') => {
        const view = await context.client.renameVolume(name, to);
        context.result(view, () => `volume ${name} is now ${view.name}`);
      }),
    );

  volume
    .command('set')
    .description('change labels, description and compression of a volume')
    .argument('<name>')
    .option('--label <key=value>', 'set a label; may be given several times', addLabel)
    .option('--unlabel <key>', 'take a label away; may be given several times', collect)
    .option('--description <text>', "one line for people; '' takes it away")
    .addOption(volumeCompressionOption('of what is written from now on'))
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry volume set vm1 --label role=db --label team=storage\n  $ skerry volume set vm1 --unlabel role --description "the old one"\n  $ skerry volume set vm1 --compression lz4',
    )
    .action(
      withDaemon(terminal, async (context, options: SetOptions, name = '') => {
        const { description, compression, label = {}, unlabel = [] } = options;
        const labels = { ...label, ...Object.fromEntries(unlabel.map((key) => [key, null])) };
        const settings: SetRequest = {
          ...(description === undefined ? {} : { description }),
          ...(compression === undefined ? {} : { compression }),
          ...(Object.keys(labels).length === 0 ? {} : { labels }),
        };
        if (Object.keys(settings).length === 0)
          throw new SkerryError(
            'invalid',
            'set what? Give --label KEY=VALUE, --unlabel KEY, --description TEXT or --compression HOW',
          );
        const view = await context.client.setVolume(name, settings);
        context.result(
          view,
          () =>
            `volume ${name}: ${[view.description, labelText(view), compressionWords(view)].filter(Boolean).join('; ') || 'no labels'}`,
        );
      }),
    );

  volume
    .command('limit')
    .description('hold the connections of a volume, all together, to a rate; with no option show what holds')
    .argument('<name>')
    .option('--iops <number>', 'requests a second; 0: no limit', parseCount)
    .option('--bandwidth <size>', 'bytes a second, such as 100M; 0: no limit', parseRate)
    .option('--burst <seconds>', 'how many seconds of either a volume that rested may use at once', parseCount)
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry volume limit vm1 --iops 500 --bandwidth 50M --burst 30\n  $ skerry volume limit vm1 --iops 0',
    )
    .action(
      withDaemon(terminal, async (context, options: Partial<ResourceView['limit']>, name = '') => {
        const before = await context.client.volume(name);
        const changes = Object.keys(options).length > 0;
        const limit = { ...before.limit, ...options };
        if (options.burst !== undefined && options.burst > 0 && limit.iops === 0 && limit.bandwidth === 0) {
          throw new SkerryError('invalid', 'a burst is of a rate: give --iops or --bandwidth with it');
        }
        const view = changes ? await context.client.setVolume(name, { limit }) : before;
        context.result(view, () => `volume ${name}: ${limitText(view)}`);
      }),
    );
}

/** `500 requests/s, 50M/s, bursts of 30 s`. */
export function limitText({ limit }: ResourceView): string {
  if (limit.iops === 0 && limit.bandwidth === 0) return 'no limit';
  const parts = [
    limit.iops === 0 ? null : `${limit.iops} requests/s`,
    limit.bandwidth === 0 ? null : `${formatSize(limit.bandwidth)}/s`,
    limit.burst === 0 ? null : `bursts of ${limit.burst} s`,
  ];
  return parts.filter((part) => part !== null).join(', ');
}

/** '' where its pool decides. */
function compressionWords({ compression }: ResourceView): string {
  return compression === 'inherit' ? '' : `compression ${compression}`;
}

/** `role=db, team=storage`; '' where there are none. */
export function labelText({ labels }: ResourceView): string {
  return Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .join(', ');
}

/** For an option `--label KEY=VALUE` that may stand several times. */
export function addLabel(text: string, before: Readonly<Record<string, string>> = {}): Record<string, string> {
  const at = text.indexOf('=');
  if (at <= 0) throw new InvalidArgumentError('write KEY=VALUE.');
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

interface SetOptions {
  readonly label?: Readonly<Record<string, string>>;
  readonly unlabel?: readonly string[];
  readonly description?: string;
  readonly compression?: string;
}

function parseCount(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('write a whole number of at least 0.');
  return Number(text);
}

function parseRate(text: string): number {
  return /^0+$/.test(text) ? 0 : Number(parseSize(text));
}
