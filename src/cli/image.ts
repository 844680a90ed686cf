/** skerry image ... */
import { resolve } from 'node:path';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { ResourceView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import type { Context } from './context.js';
import { checkSource } from './source.js';
import { formatTable } from './table.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { followTransfer } from './transfer.js';
import { resourceFacts } from './volume.js';
import { attachment, duration, when } from './words.js';

export function addImage(program: Command, terminal: Terminal): void {
  const image = program.command('image').description('import, export, list and delete images');

  image
    .command('import')
    .description('read a raw disk image into the pool; holes and zeroes cost nothing')
    .argument('<file>', 'on the host of the daemon')
    .argument('<name>', 'of the new image: a-z, 0-9, -, . and _')
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry image import debian-12.raw debian-12\n  $ qemu-img convert -O raw debian-12.qcow2 debian-12.raw   # what is not raw yet',
    )
    .action(withDaemon(terminal, importImage));

  image
    .command('export')
    .description('write a volume, VOL@SNAP or image to a new raw file')
    .argument('<source>', 'a volume, VOL@SNAP or an image')
    .argument('<file>', 'on the host of the daemon; it must not exist yet')
    .addOption(new Option('--format <format>', 'of the file').choices(['raw']).default('raw'))
    .addHelpText('after', '\nExamples:\n  $ skerry image export vm1@monday monday.raw')
    .action(withDaemon(terminal, exportResource));

  image
    .command('list')
    .description('list all images')
    .action(
      withDaemon(terminal, async (context) => {
        const images = await context.client.images();
        context.result(images, () =>
          images.length === 0
            ? 'no images; import one with: skerry image import FILE NAME'
            : formatTable(imageColumns, images, terminal.outColumns),
        );
      }),
    );

  image
    .command('show')
    .description('show all that is known of an image')
    .argument('<name>')
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.image(name);
        context.result(view, () => resourceFacts(view));
      }),
    );

  image
    .command('rename')
    .description('give an image another name')
    .argument('<old>')
    .argument('<new>')
    .action(
      withDaemon(terminal, async (context, _options, name = '', to = '') => {
        const view = await context.client.renameImage(name, to);
        context.result(view, () => `image ${name} is now ${view.name}`);
      }),
    );

  image
    .command('delete')
    .description('delete an image; clones of it live on')
    .argument('<name>')
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const deleted = await context.client.deleteImage(name);
        context.result(deleted, () => `deleted image ${name}`);
      }),
    );
}

async function importImage(context: Context, _options: object, file = '', name = ''): Promise<void> {
  const began = performance.now();
  const path = fileOf(context, file);
  const transfer = await followTransfer(context, {
    noun: `import of ${name}`,
    doing: `importing ${name}`,
    cancelled: 'nothing of it was kept',
    begin: () => context.client.importImage({ path, name }),
  });
  const view = await context.client.image(name);
  const seconds = (performance.now() - began) / 1000;
  context.result(
    view,
    () =>
      `imported image ${name} (${formatSize(view.sizeBytes)}, ${formatSize(transfer.dataBytes)} of it data) in ${duration(seconds)}`,
  );
}

async function exportResource(context: Context, _options: object, source = '', file = ''): Promise<void> {
  const began = performance.now();
  checkSource(source);
  const path = fileOf(context, file);
  const transfer = await followTransfer(context, {
    noun: `export of ${source}`,
    doing: `exporting ${source}`,
    cancelled: `${path} is not whole: remove it if it is there`,
    begin: () => context.client.exportResource({ source, path }),
  });
  const { totalBytes, dataBytes } = transfer;
  const seconds = (performance.now() - began) / 1000;
  context.result(
    { source, path, format: 'raw', totalBytes, dataBytes },
    () =>
      `exported ${source} to ${path} (${formatSize(totalBytes)}, ${formatSize(dataBytes)} of it data) in ${duration(seconds)}`,
  );
}

/** The daemon opens the file itself, so that no byte of it passes through this process: it needs the whole path. */
function fileOf(context: Context, file: string): string {
  if (file === '' || file === '-') {
    throw new SkerryError('invalid', 'the daemon opens the file itself: name a file on its host, not standard input or output');
  }
  return resolve(context.terminal.directory, file);
}

const imageColumns: readonly Column<ResourceView>[] = [
  { title: 'NAME', value: (image) => image.name },
  { title: 'SIZE', value: (image) => formatSize(image.sizeBytes), align: 'right' },
  { title: 'CREATED', value: (image) => when(image.createdAt), leaveOut: 1 },
  { title: 'POOL', value: (image) => image.pool, leaveOut: 3 },
  { title: 'ATTACHED', value: attachment, leaveOut: 2 },
  { title: 'DESCRIPTION', value: (image) => image.description, leaveOut: 4 },
];
