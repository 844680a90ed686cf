/** skerry image ... */
import type { Command } from 'commander';
import type { ResourceView } from '../api/shapes.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import { examples } from './examples.js';
import { addExport, addImport } from './interchange.js';
import { addMove } from './move.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { resourceFacts } from './volume.js';
import { attachment, when } from './words.js';

export function addImage(program: Command, terminal: Terminal): void {
  const image = program.command('image').description('import, export, list and delete images');

  addImport(image, terminal);
  addExport(image, terminal);
  addMove(image, terminal, 'image');

  image
    .command('list')
    .description('list all images')
    .addHelpText('after', examples('skerry image list'))
    .action(
      withDaemon(terminal, async (context) => {
        const images = await context.client.images();
        context.result(images, () =>
          images.length === 0
            ? 'no images; import one with: skerry image import SOURCE NAME'
            : context.table(imageColumns, images),
        );
      }),
    );

  image
    .command('show')
    .description('show all that is known of an image')
    .argument('<name>')
    .addHelpText('after', examples('skerry image show debian-12'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const view = await context.client.image(name);
        context.result(view, () => context.facts(resourceFacts(view)));
      }),
    );

  image
    .command('rename')
    .description('give an image another name')
    .argument('<old>')
    .argument('<new>')
    .addHelpText('after', examples('skerry image rename debian-12 debian-12.5'))
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
    .addHelpText('after', examples('skerry image delete debian-12'))
    .action(
      withDaemon(terminal, async (context, _options, name = '') => {
        const deleted = await context.client.deleteImage(name);
        context.result(deleted, () => `deleted image ${name}`);
      }),
    );
}

const imageColumns: readonly Column<ResourceView>[] = [
  { title: 'NAME', value: (image) => image.name },
  { title: 'SIZE', value: (image) => formatSize(image.sizeBytes), align: 'right' },
  { title: 'CREATED', value: (image) => when(image.createdAt), leaveOut: 1 },
  { title: 'POOL', value: (image) => image.pool, leaveOut: 3 },
  { title: 'ATTACHED', value: attachment, leaveOut: 2 },
  { title: 'DESCRIPTION', value: (image) => image.description, leaveOut: 4, cutTo: 12 },
];
