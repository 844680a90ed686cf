/** skerry image import and skerry image export: disks of others come in, ours go out. */
import { resolve } from 'node:path';
import { pipeline as connect, Transform } from 'node:stream';
import type { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Option } from 'commander';
import type { Command } from 'commander';
import type { TransferView } from '../api/shapes.js';
import { SkerryError } from '../core/errors.js';
import { exportFormats, importFormats, isNbdUri } from '../core/image_formats.js';
import type { ExportFormat, ImportFormat } from '../core/image_formats.js';
import { formatSize, parseSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import type { Context } from './context.js';
import { checkSource } from './source.js';
import type { Terminal } from './terminal.js';
import { followTransfer } from './transfer.js';
import { duration } from './words.js';

const input_end_milliseconds = 100;

interface ImportOptions {
  readonly pool?: string;
  readonly format?: ImportFormat;
  readonly allowBacking?: boolean;
  readonly sizeMax?: number;
  readonly account?: string;
  readonly bucket?: string;
}

interface ExportOptions {
  readonly format: ExportFormat;
  readonly compress?: boolean;
  readonly force?: boolean;
}

export function addImport(image: Command, terminal: Terminal): void {
  image
    .command('import')
    .description('read a disk image into the pool; holes and zeroes cost nothing')
    .argument('<source>', 'a file on the host of the daemon, the URI of another NBD server, or - for standard input')
    .argument('<name>', 'of the new image: a-z, 0-9, -, . and _')
    .addOption(new Option('--format <format>', 'of the source, instead of what its bytes say').choices(importFormats))
    .option(
      '--allow-backing',
      'the image may name other files of that host, such as a backing file: only if you trust who made it',
    )
    .option('--pool <pool>', 'which keeps it, instead of the default one')
    .option('--size-max <size>', 'give up a disk that is larger, such as 100G', parseBound)
    .option('--account <account>', 'whose object of S3 the image is to be, instead of the one of the settings or the only one')
    .option('--bucket <bucket>', 'which the object is to be in, instead of images')
    .addHelpText(
      'after',
      '\nRaw, gzip, xz and zstd need nothing else; qcow2, vmdk, vhd, vhdx, vdi and NBD servers are read through qemu-img.\n\nExamples:\n  $ skerry image import debian-12.qcow2 debian-12\n  $ skerry image import alpine.raw.xz alpine --size-max 10G\n  $ curl -L https://example.org/disk.raw.gz | skerry image import - disk\n  $ skerry image import nbd://storage:10809/vm1 vm1-copy',
    )
    .action(withDaemon(terminal, importImage));
}

export function addExport(image: Command, terminal: Terminal): void {
  image
    .command('export')
    .description('write a volume as of now, VOL@SNAP or an image to a new file')
    .argument('<source>', 'a volume, VOL@SNAP or an image')
    .argument('<file>', 'on the host of the daemon, or - for standard output')
    .addOption(new Option('--format <format>', 'of the file').choices(exportFormats).default('raw'))
    .option('--compress', 'compress the clusters of a qcow2 file')
    .option('--force', 'replace a file that is there, once the new one is whole')
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry image export vm1@monday monday.raw\n  $ skerry image export vm1 vm1.qcow2 --format qcow2 --compress\n  $ skerry image export debian-12 - | zstd > debian-12.raw.zst',
    )
    .action(withDaemon(terminal, exportResource));
}

async function importImage(context: Context, options: ImportOptions, source = '', name = ''): Promise<void> {
  const began = performance.now();
  const { pool, format, allowBacking, sizeMax, account, bucket } = options;
  const order = {
    name,
    ...(pool === undefined ? {} : { pool }),
    ...(format === undefined ? {} : { format }),
    ...(allowBacking === undefined ? {} : { allowBacking }),
    ...(sizeMax === undefined ? {} : { sizeBytesMax: sizeMax }),
    ...(account === undefined ? {} : { account }),
    ...(bucket === undefined ? {} : { bucket }),
  };
  const words = { noun: `import of ${name}`, doing: `importing ${name}`, cancelled: 'nothing of it was kept' };
  const { client } = context;
  let object = '';
  const beginImport = async (from: { stream: true } | { uri: string } | { path: string }): Promise<TransferView> => {
    const { object: uri, objectProblem: problem, ...begun } = await client.importImage({ ...order, ...from });
    if (typeof uri === 'string') object = `; it is the object ${uri}`;
    else if (typeof problem === 'string') object = `; it is no object of S3: ${problem}`;
    return begun;
  };
  let transfer: TransferView;
  if (source === '-') {
    const input = endingLate(inputOf(context));
    let sending: Promise<unknown> | null = null;
    const begin = async (): Promise<TransferView> => {
      const begun = await beginImport({ stream: true });
      sending = client.sendContent(begun.id, input);
      // How it ended is what the transfer says.
      sending.catch(() => {});
      return begun;
    };
    try {
      transfer = await followTransfer(context, { ...words, begin });
    } finally {
      input.destroy();
      await (sending as Promise<unknown> | null)?.catch(() => {});
    }
  } else {
    const from = isNbdUri(source) ? { uri: source } : { path: importPath(context, source) };
    transfer = await followTransfer(context, { ...words, begin: () => beginImport(from) });
  }
  const view = await client.image(name);
  const seconds = (performance.now() - began) / 1000;
  context.result(
    view,
    () =>
      `imported image ${name} (${formatSize(view.sizeBytes)}, ${formatSize(transfer.dataBytes)} of it data) in ${duration(seconds)}${object}`,
  );
}

async function exportResource(context: Context, options: ExportOptions, source = '', file = ''): Promise<void> {
  checkSource(source);
  const { format, compress, force } = options;
  const order = {
    source,
    format,
    ...(compress === undefined ? {} : { compress }),
    ...(force === undefined ? {} : { overwrite: force }),
  };
  if (file === '-') await exportToOutput(context, order);
  else await exportToFile(context, order, file);
}

type Order = {
  readonly source: string;
  readonly format: ExportFormat;
  readonly compress?: boolean;
  readonly overwrite?: boolean;
};

async function exportToFile(context: Context, order: Order, file: string): Promise<void> {
  const began = performance.now();
  const { source, format } = order;
  if (file === '') throw new SkerryError('invalid', 'name a file to export to');
  const path = resolve(context.terminal.directory, file);
  const { totalBytes, dataBytes } = await followTransfer(context, {
    noun: `export of ${source}`,
    doing: `exporting ${source}`,
    cancelled: 'no file was left',
    begin: () => context.client.exportResource({ ...order, path }),
  });
  const seconds = (performance.now() - began) / 1000;
  const data = format === 'raw' ? `, ${formatSize(dataBytes)} of it data` : '';
  context.result(
    { source, path, format, totalBytes, dataBytes: format === 'raw' ? dataBytes : null },
    () => `exported ${source} to ${path} (${formatSize(totalBytes)}${data}) in ${duration(seconds)}`,
  );
}

/** The result is told on standard error, for the other one is the disk. */
async function exportToOutput(context: Context, order: Order): Promise<void> {
  const { client, terminal } = context;
  const { source } = order;
  const output = outputOf(context);
  let writing: Promise<void> | null = null;
  let content: Readable | null = null;
  const begin = async (): Promise<TransferView> => {
    const begun = await client.exportResource({ ...order, stream: true });
    content = await client.content(begun.id);
    writing = pipeline(content, output, { end: false });
    writing.catch(() => {});
    return begun;
  };
  try {
    const { totalBytes, dataBytes } = await followTransfer(context, {
      noun: `export of ${source}`,
      doing: `exporting ${source}`,
      cancelled: 'what was written is not whole',
      begin,
    });
    // The daemon has given all of it; now it has to be taken.
    await (writing as Promise<void> | null);
    const view = { source, path: '-', format: 'raw', totalBytes, dataBytes };
    terminal.err(context.json ? `${JSON.stringify(view)}\n` : `exported ${source} (${formatSize(totalBytes)})\n`);
  } finally {
    (content as Readable | null)?.destroy();
  }
}

function inputOf(context: Context): Readable {
  const input = context.terminal.inputBytes();
  if (input === null) throw new SkerryError('invalid', 'standard input is a terminal: pipe a disk image into it, or name a file');
  return input;
}

/**
 * Ctrl-C at `curl ... | skerry image import - disk` ends curl too, and what came of a raw disk so far looks like all of it: the end of
 * the input is passed on only once the signal has had time to arrive here.
 */
function endingLate(input: Readable): Readable {
  const late = new Transform({
    transform: (bytes, _encoding, done) => done(null, bytes),
    flush: (done) => void setTimeout(done, input_end_milliseconds),
  });
  // A failure is seen by whoever reads from it.
  return connect(input, late, () => {});
}

function outputOf(context: Context): Writable {
  const output = context.terminal.outputBytes();
  if (output === null) throw new SkerryError('invalid', 'standard output is a terminal: send it to a program or a file');
  return output;
}

/** The daemon opens the file itself, so that no byte of it passes through this process: it needs the whole path. */
function importPath(context: Context, file: string): string {
  if (file === '') throw new SkerryError('invalid', 'name a file to import');
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(file)) {
    throw new SkerryError(
      'invalid',
      `${file} cannot be imported, only files and NBD servers. What a program can fetch comes by standard input: curl -L ${file} | skerry image import - NAME`,
    );
  }
  return resolve(context.terminal.directory, file);
}

/** Any size: the disk is judged by it, and none is made. */
function parseBound(text: string): number {
  const bytes = parseSize(text);
  return Number(bytes > BigInt(Number.MAX_SAFE_INTEGER) ? Number.MAX_SAFE_INTEGER : bytes);
}
