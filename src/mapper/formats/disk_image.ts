/**
 * A disk image of another program, judged before anybody follows what it says: its header is read here first, then
 * qemu-img is asked, with its driver named and its backing file taken away. What it is then told to copy is the same node.
 */
import { open, realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import { SkerryError, toSkerryError } from '../../core/errors.js';
import { checkVolumeBytes } from '../../core/sizes.js';
import { page_bytes } from '../../core/limits.js';
import { namedFiles, type DiskFormat, type ImageFile, type NamedFile } from './header.js';
import type { BlockNode, QemuImg } from './qemu_img.js';

/** Of files that rest on one another. */
const chain_files_max = 16;

const drivers: Readonly<Record<DiskFormat, { readonly driver: string; readonly backs: boolean }>> = {
  qcow2: { driver: 'qcow2', backs: true },
  vmdk: { driver: 'vmdk', backs: true },
  vhd: { driver: 'vpc', backs: false },
  vhdx: { driver: 'vhdx', backs: false },
  vdi: { driver: 'vdi', backs: false },
};

export function isDiskFormat(format: string): format is DiskFormat {
  return Object.hasOwn(drivers, format);
}

export interface DiskImage {
  readonly node: BlockNode;
  /** Whole pages: what the last one lacks reads as zeroes. */
  readonly sizeBytes: number;
}

export interface DiskImageOrder {
  /** Absolute. */
  readonly path: string;
  readonly format: DiskFormat;
  /** It may name other files of this host, because whoever asks trusts who made it. */
  readonly allowBacking: boolean;
  /** Where QEMU finds its bytes; absent: in the file at `path`, which is then only what failures call it. */
  readonly file?: BlockNode;
}

/** @throws SkerryError invalid for an image that is not read, corrupt for one that is damaged; unsupported where qemu-img is absent. */
export async function judgeDiskImage(file: ImageFile, order: DiskImageOrder, qemu: QemuImg): Promise<DiskImage> {
  const { path, format, allowBacking, file: bytes = { driver: 'file', filename: path } } = order;
  const { driver, backs } = drivers[format];
  const named = await namedFiles(file, path, format);
  const first = named[0];
  if (first !== undefined && !allowBacking) {
    throw new SkerryError(
      'invalid',
      `${path} rests on another file of this host, its ${first.role} ${JSON.stringify(first.name.slice(0, 200))}. ` +
        'An image of a stranger could read any file that way. If you trust who made it: --allow-backing',
    );
  }
  if (allowBacking) await checkNamed(path, named, new Set([await realpath(path)]));
  // Without `backing` in the node a header that changed since it was read would be followed after all.
  const node = { driver, file: bytes, ...(backs && !allowBacking ? { backing: null } : {}) };
  const purpose = `${format} images are read`;
  const chain = await qemu.info(node, { name: path, purpose, chain: allowBacking, otherwise: 'corrupt' });
  const [image] = chain;
  if (image === undefined || image.format !== driver) throw new SkerryError('invalid', `${path} is no ${format} image`);
  if (chain.some(({ encrypted }) => encrypted)) throw new SkerryError('invalid', `${path} is encrypted, and is not imported so`);
  if (!allowBacking && image.backingFilename !== null)
    throw new SkerryError('invalid', `${path} rests on ${JSON.stringify(image.backingFilename)}: see --allow-backing`);
  return { node, sizeBytes: wholePages(image.virtualBytes) };
}

/** What an NBD server offers. @throws SkerryError unavailable for one that cannot be reached or refuses; invalid for one that is too large. */
export async function judgeNbdUri(uri: string, qemu: QemuImg): Promise<DiskImage> {
  const node = { driver: 'raw', file: nbdNode(uri) };
  const [image] = await qemu.info(node, {
    name: uri,
    purpose: 'other NBD servers are read',
    chain: false,
    otherwise: 'unavailable',
  });
  if (image === undefined) throw new SkerryError('internal', `qemu-img info of ${uri} told nothing`);
  return { node, sizeBytes: wholePages(image.virtualBytes) };
}

/** A file of `bytes` bytes that an NBD server offers as a disk of whole pages. */
export function nbdFileNode(uri: string, bytes: number): BlockNode {
  // QEMU's raw driver counts in sectors. Of formats that end with a footer all files are whole sectors.
  return { driver: 'raw', file: nbdNode(uri), ...(bytes % 512 === 0 ? { size: bytes } : {}) };
}

/** The parts of an NBD URI, so that QEMU is not given text to interpret. @throws SkerryError invalid */
function nbdNode(uri: string): BlockNode {
  const refuse = (why: string): never => {
    throw new SkerryError('invalid', `${uri} is no address of an NBD server that can be read: ${why}`);
  };
  const url = URL.canParse(uri) ? new URL(uri) : refuse('write nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH');
  let exported = '';
  try {
    exported = decodeURIComponent(url.pathname.replace(/^\//, ''));
  } catch {
    refuse('the name of its export does not decode');
  }
  if (url.protocol === 'nbd+unix:') {
    const path = url.searchParams.get('socket') ?? refuse('it names no socket: nbd+unix:///EXPORT?socket=PATH');
    return { driver: 'nbd', server: { type: 'unix', path }, export: exported };
  }
  if (url.protocol !== 'nbd:') refuse('nbd: and nbd+unix: are read; there is no TLS here');
  if (url.hostname === '') refuse('it names no host: nbd://HOST:PORT/EXPORT');
  if (url.username !== '' || url.search !== '') refuse('a user and a query mean nothing there');
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  return { driver: 'nbd', server: { type: 'inet', host, port: url.port === '' ? '10809' : url.port }, export: exported };
}

/** Also where they are allowed: files of this host, no loops, and none whose format would have to be guessed. */
async function checkNamed(path: string, named: readonly NamedFile[], seen: Set<string>): Promise<void> {
  for (const { role, name, format } of named) {
    const refuse = (why: string, cause?: unknown): never => {
      throw new SkerryError('invalid', `${path} names ${JSON.stringify(name.slice(0, 200))} as its ${role}: ${why}`, { cause });
    };
    if (/^[^/]*:/.test(name)) refuse('only a file of this host is ever opened');
    const found = await realpath(resolve(dirname(path), name)).catch((error: unknown) => refuse('there is no such file', error));
    if (seen.has(found)) refuse('the images rest on each other in a loop');
    seen.add(found);
    if (seen.size > chain_files_max) refuse(`more than ${chain_files_max} files rest on each other`);
    if (role === 'backing file' && format === null)
      refuse('it does not say of which format that is, and none is guessed. Say so with qemu-img rebase -u -F FORMAT');
    if (format !== null && format !== 'raw' && !isDiskFormat(format)) refuse(`the format ${JSON.stringify(format)} is not read`);
    const file = await open(found, 'r').catch((error: unknown) => {
      throw toSkerryError(error, `${found}, the ${role} of ${path}, cannot be read`);
    });
    try {
      if (!(await file.stat()).isFile()) refuse('that is not a file');
      if (format !== null && isDiskFormat(format)) await checkNamed(found, await namedFiles(file, found, format), seen);
    } finally {
      await file.close();
    }
  }
}

function wholePages(bytes: number): number {
  return checkVolumeBytes(Math.ceil(bytes / page_bytes) * page_bytes);
}
