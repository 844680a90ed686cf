/** skerry snapshot diff and skerry volume apply. */
import { once } from 'node:events';
import { createReadStream, createWriteStream, rmSync } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import type { ResourceView } from '../api/shapes.js';
import { SkerryError, toSkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import type { Context } from './context.js';
import type { Terminal } from './terminal.js';
import { counted } from './words.js';

export function addDiff(snapshot: Command, terminal: Terminal): void {
  snapshot
    .command('diff')
    .description('show where two resources differ, or stream what makes one of the other')
    .argument('<a>', 'the older one: a volume, VOL@SNAP or an image')
    .argument('<b>', 'the newer one')
    .option('--stream <file>', 'write what differs, with its data, to a new file of this host; - is standard output')
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry snapshot diff vm1@monday vm1@tuesday\n  $ skerry snapshot diff vm1@monday vm1@tuesday --stream - | ssh backup skerry volume apply vm1 -',
    )
    .action(
      withDaemon(terminal, async (context, { stream }: { readonly stream?: string }, a = '', b = '') => {
        if (stream !== undefined) return streamTo(context, stream, a, b);
        const difference = await context.client.diff(a, b);
        context.result(difference, () => {
          const { ranges } = difference;
          if (ranges.length === 0) return `${b} does not differ from ${a}`;
          const total = ranges.reduce((sum, { length }) => sum + length, 0);
          const table = context.table(
            [
              { title: 'OFFSET', value: ({ offset }) => String(offset), align: 'right' },
              { title: 'LENGTH', value: ({ length }) => String(length), align: 'right' },
              { title: 'KIND', value: ({ kind }) => kind },
            ],
            ranges,
          );
          return `${table}\n${counted(ranges.length, 'range')}, ${formatSize(total)}`;
        });
      }),
    );
}

export function addApply(volume: Command, terminal: Terminal): void {
  volume
    .command('apply')
    .description('make a volume that is what a diff stream began with what it ended with; it must not be attached')
    .argument('<name>')
    .argument('<file>', 'as snapshot diff --stream wrote it; - is standard input')
    .option('--any-base', 'also where the volume does not show that it is what the stream began with: only its size is compared')
    .addHelpText('after', '\nExamples:\n  $ skerry volume apply vm1 monday-to-tuesday.diff')
    .action(
      withDaemon(terminal, async (context, options: { readonly anyBase?: boolean }, name = '', file = '') => {
        const bytes = file === '-' ? process.stdin : createReadStream(file);
        if (file !== '-') {
          await once(bytes, 'open').catch((error: unknown) => {
            const failed = toSkerryError(error, `${file} cannot be read`);
            throw failed.code === 'not-found' ? new SkerryError('not-found', `there is no file ${file}`) : failed;
          });
        }
        const view = await applied(context, name, bytes, options);
        context.result(view, () => `applied to volume ${view.name} (${formatSize(view.sizeBytes)})`);
      }),
    );
}

/** Ctrl-C ends the stream early, which leaves part of it in the volume: whoever did it is told. */
async function applied(
  context: Context,
  name: string,
  bytes: Readable,
  options: { readonly anyBase?: boolean },
): Promise<ResourceView> {
  let interrupted = false;
  const listening = context.terminal.onInterrupt(() => {
    interrupted = true;
    bytes.destroy(new Error('interrupted'));
  });
  try {
    return await context.client.applyStream(name, bytes, options);
  } catch (error) {
    if (!interrupted) throw error instanceof SkerryError && error.code === 'corrupt' ? broken(name, error) : error;
    throw new SkerryError(
      'cancelled',
      `cancelled: volume ${name} holds part of the stream; apply all of it with --any-base to make it whole`,
    );
  } finally {
    listening();
  }
}

/** What came before the damage is in the volume. */
const broken = (name: string, cause: SkerryError): SkerryError =>
  new SkerryError(
    'corrupt',
    `${cause.message}; volume ${name} may hold a part of it: apply the whole stream with --any-base to make it whole`,
    {
      cause,
    },
  );

async function streamTo(context: Context, file: string, a: string, b: string): Promise<void> {
  if (context.json && file === '-')
    throw new SkerryError('invalid', '--json and a stream both want standard output: give --stream a file');
  const bytes = await context.client.diffStream(a, b);
  if (file === '-') {
    // Standard output is not ours to close.
    await pipeline(bytes, process.stdout, { end: false });
    return;
  }
  const written = await toNewFile(context, file, bytes);
  context.result({ from: a, to: b, file, bytes: written }, () => `wrote ${formatSize(written)} to ${file}`);
}

/** How many bytes it got. A failure or Ctrl-C leaves none behind. */
async function toNewFile({ terminal }: Context, file: string, bytes: AsyncIterable<Uint8Array>): Promise<number> {
  const interrupted = new AbortController();
  const listening = terminal.onInterrupt(() => interrupted.abort());
  try {
    const output = createWriteStream(file, { flags: 'wx', flush: true });
    // One that is there already is not ours to remove.
    await once(output, 'open').catch((error: unknown) => {
      const failed = toSkerryError(error, `${file} cannot be written`);
      throw failed.code === 'exists' ? new SkerryError('exists', `${file} is there already: name another file`) : failed;
    });
    try {
      await pipeline(bytes, output, { signal: interrupted.signal });
    } catch (error) {
      rmSync(file, { force: true });
      if (interrupted.signal.aborted) throw new SkerryError('cancelled', `the stream was cancelled; ${file} was removed`);
      throw error;
    }
    return output.bytesWritten;
  } finally {
    listening();
  }
}
