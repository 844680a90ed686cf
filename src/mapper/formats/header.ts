/**
 * What an image says of itself, read here and not by the program that will copy it: an image is somebody else's word, and
 * opening one is enough to make qemu-img follow the files it names. Only what decides whether it may be opened is looked at.
 */
import { SkerryError } from '../../core/errors.js';
import { volume_bytes_max } from '../../core/limits.js';
import { formatSize } from '../../core/sizes.js';

export type DiskFormat = 'qcow2' | 'vmdk' | 'vhd' | 'vhdx' | 'vdi';

/** A file of this host that an image names and cannot be read without. */
export interface NamedFile {
  readonly role: 'backing file' | 'data file' | 'extent';
  /** As the image spells it: relative to the image's directory unless absolute. */
  readonly name: string;
  /** null where the image does not say, or where it needs none. */
  readonly format: string | null;
}

/** What is asked of an image: an open file is one. */
export interface ImageFile {
  read(buffer: Buffer, offset: number, length: number, position: number): Promise<{ buffer: Buffer; bytesRead: number }>;
  stat(): Promise<{ readonly size: number }>;
}

/** Header of at most one cluster of qcow2, or a VMDK's descriptor. */
const header_bytes_max = 2 << 20;
const descriptor_bytes_max = 1 << 20;
const sector_bytes = 512;
const names_length_max = 1023;

/** @throws SkerryError corrupt for a header that is damaged, invalid for one that asks for what is never done. */
export async function namedFiles(file: ImageFile, path: string, format: DiskFormat): Promise<readonly NamedFile[]> {
  const odd: Odd = (why, code = 'invalid') => new SkerryError(code, `${path} cannot be imported as ${format}: ${why}`);
  switch (format) {
    case 'qcow2':
      return qcow2Files(await bytesAt(file, 0, header_bytes_max), odd);
    case 'vmdk':
      return vmdkFiles(file, odd);
    case 'vhd':
      await checkVhd(file, odd);
      return [];
    case 'vdi':
      checkVdi(await bytesAt(file, 0, 512), (await file.stat()).size, odd);
      return [];
    case 'vhdx':
      // Whether it has a parent stands deep in its regions; qemu-img reads none with one, and says so.
      if ((await bytesAt(file, 0, 8)).toString('latin1') !== 'vhdxfile') throw odd('it does not begin as one');
      return [];
  }
}

type Odd = (why: string, code?: 'invalid' | 'corrupt') => SkerryError;

/** Of a disk, in bytes. @throws what `odd` makes of one that no volume can have. */
function checkDiskBytes(bytes: bigint, odd: Odd): void {
  if (bytes === 0n) throw odd('it says that its disk has a size of 0');
  if (bytes > 2n ** 63n) throw odd(`it says that its disk has ${bytes} bytes, which is over 8 EiB`);
  if (bytes > BigInt(volume_bytes_max)) throw odd(`its disk of ${formatSize(bytes)} is larger than an image can be`);
}

const qcow2 = { dirty: 1n, corrupt: 2n, dataFile: 4n, compression: 8n, extendedL2: 16n } as const;
const qcow2_features_known = 31n;
const extension = { end: 0, backingFormat: 0xe279_2aca, dataFileName: 0x4441_5441 } as const;

function qcow2Files(header: Buffer, odd: Odd): readonly NamedFile[] {
  if (header.toString('latin1', 0, 4) !== 'QFI\xfb') throw odd('it does not begin as one');
  if (header.length < 72) throw odd('its header is cut off', 'corrupt');
  const version = header.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw odd(`its version is ${version}, and 2 and 3 are read`);
  if (version === 3 && header.length < 104) throw odd('its header is cut off', 'corrupt');
  const clusterBits = header.readUInt32BE(20);
  if (clusterBits < 9 || clusterBits > 21) throw odd(`its clusters have 2^${clusterBits} bytes, which no qcow2 has`);
  checkDiskBytes(header.readBigUInt64BE(24), odd);
  if (header.readUInt32BE(32) !== 0) throw odd('it is encrypted');
  const features = version === 2 ? 0n : header.readBigUInt64BE(72);
  if ((features & ~qcow2_features_known) !== 0n) throw odd(`it needs features that are not known (0x${features.toString(16)})`);
  if ((features & qcow2.corrupt) !== 0n) throw odd('it is marked as corrupt: qemu-img check -r all may repair it', 'corrupt');
  const extensions = qcow2Extensions(header, version === 2 ? 72 : header.readUInt32BE(100), odd);
  const files: NamedFile[] = [];
  const backingAt = header.readBigUInt64BE(8);
  if (backingAt !== 0n) {
    const length = header.readUInt32BE(16);
    if (length === 0 || length > names_length_max || backingAt + BigInt(length) > BigInt(header.length))
      throw odd('the name of its backing file lies outside its header', 'corrupt');
    const at = Number(backingAt);
    const format = extensions.get(extension.backingFormat) ?? null;
    files.push({ role: 'backing file', name: header.toString('utf8', at, at + length), format });
  }
  if ((features & qcow2.dataFile) !== 0n) {
    const name = extensions.get(extension.dataFileName);
    if (name === undefined) throw odd('its data is in another file, and it does not say which');
    files.push({ role: 'data file', name, format: 'raw' });
  }
  return files;
}

function qcow2Extensions(header: Buffer, begin: number, odd: Odd): ReadonlyMap<number, string> {
  const found = new Map<number, string>();
  for (let at = begin; at + 8 <= header.length; ) {
    const type = header.readUInt32BE(at);
    const length = header.readUInt32BE(at + 4);
    if (type === extension.end) return found;
    if (at + 8 + length > header.length) throw odd('an extension of its header ends past it', 'corrupt');
    // Those whose text counts are short; the others may hold anything.
    if (length <= names_length_max) found.set(type, header.toString('utf8', at + 8, at + 8 + length));
    at += 8 + Math.ceil(length / 8) * 8;
  }
  throw odd('its header does not end', 'corrupt');
}

async function vmdkFiles(file: ImageFile, odd: Odd): Promise<readonly NamedFile[]> {
  const header = await bytesAt(file, 0, sector_bytes);
  const magic = header.toString('latin1', 0, 4);
  if (magic === 'COWD') {
    checkDiskBytes(BigInt(header.readUInt32LE(12)) * BigInt(sector_bytes), odd);
    return [];
  }
  if (magic !== 'KDMV') return descriptorFiles((await bytesAt(file, 0, descriptor_bytes_max)).toString('utf8'), odd);
  if (header.length < sector_bytes) throw odd('its header is cut off', 'corrupt');
  const capacity = header.readBigUInt64LE(12);
  const descriptorAt = header.readBigUInt64LE(28) * BigInt(sector_bytes);
  const descriptorBytes = header.readBigUInt64LE(36) * BigInt(sector_bytes);
  // With a capacity of 0 the whole file would be taken for a descriptor, and that may name any file of this host.
  checkDiskBytes(capacity * BigInt(sector_bytes), odd);
  if (descriptorAt === 0n) throw odd('it is one of several files of a disk: import the disk by the file that describes it');
  if (descriptorBytes === 0n || descriptorBytes > BigInt(descriptor_bytes_max) || descriptorAt > 2n ** 52n)
    throw odd('its descriptor is not where it says', 'corrupt');
  const descriptor = (await bytesAt(file, Number(descriptorAt), Number(descriptorBytes))).toString('utf8');
  const { createType, extents, parent } = parseDescriptor(descriptor);
  if (createType !== 'monolithicSparse' && createType !== 'streamOptimized')
    throw odd(`a disk of the type ${JSON.stringify(createType.slice(0, 40))} is not in one file, as this one is`);
  if (extents.length !== 1 || extents[0]?.type !== 'SPARSE')
    throw odd('its descriptor names more than the one file that it is in');
  return parent === null ? [] : [{ role: 'backing file', name: parent, format: 'vmdk' }];
}

const createTypes = new Set(['monolithicFlat', 'twoGbMaxExtentFlat', 'twoGbMaxExtentSparse', 'vmfs', 'vmfsSparse']);

function descriptorFiles(descriptor: string, odd: Odd): readonly NamedFile[] {
  if (!descriptor.startsWith('# Disk DescriptorFile')) throw odd('it does not begin as one');
  const { createType, extents, parent } = parseDescriptor(descriptor);
  if (!createTypes.has(createType)) throw odd(`disks of the type ${JSON.stringify(createType.slice(0, 40))} are not read`);
  const files = extents
    .filter(({ type }) => type !== 'ZERO')
    .map(({ name }): NamedFile => ({ role: 'extent', name, format: null }));
  if (files.length === 0) throw odd('its descriptor names no file with its data');
  return parent === null ? files : [{ role: 'backing file', name: parent, format: 'vmdk' }, ...files];
}

interface Descriptor {
  readonly createType: string;
  readonly extents: readonly { readonly type: string; readonly name: string }[];
  readonly parent: string | null;
}

function parseDescriptor(text: string): Descriptor {
  // Wherever it stands, as those who open it look for it.
  const setting = (name: string): string | undefined => new RegExp(`${name}\\s*=?\\s*"?([^"\\n\\r\\0]*)`, 'i').exec(text)?.[1];
  const extents = [...text.matchAll(/^\s*(?:RW|RDONLY|NOACCESS)\s+\d+\s+(\w+)(?:\s+"([^"\n\r]*)")?/gim)];
  return {
    createType: setting('createType') ?? '',
    extents: extents.map(([, type = '', name = '']) => ({ type: type.toUpperCase(), name })),
    parent: setting('parentFileNameHint') ?? null,
  };
}

const vhdType = { fixed: 2, dynamic: 3, differencing: 4 } as const;

async function checkVhd(file: ImageFile, odd: Odd): Promise<void> {
  // One that grows has a copy of it at its start, which is no proof that the rest came with it.
  const { size } = await file.stat();
  const footer = await bytesAt(file, Math.max(0, size - sector_bytes), sector_bytes);
  if (footer.length < sector_bytes || footer.toString('latin1', 0, 8) !== 'conectix')
    throw odd('it does not end with the footer of one, so it is none, or cut off', 'corrupt');
  checkDiskBytes(footer.readBigUInt64BE(48), odd);
  const type = footer.readUInt32BE(60);
  if (type === vhdType.differencing) throw odd('it holds only what differs from another disk: merge it with its parent first');
  if (type !== vhdType.fixed && type !== vhdType.dynamic) throw odd(`disks of the type ${type} are not read`);
}

const vdiType = { dynamic: 1, fixed: 2 } as const;

function checkVdi(header: Buffer, fileBytes: number, odd: Odd): void {
  if (header.length < 512 || header.readUInt32LE(64) !== 0xbeda_107f) throw odd('it does not begin as one');
  const type = header.readUInt32LE(76);
  if (type !== vdiType.dynamic && type !== vdiType.fixed)
    throw odd('it holds only what differs from another disk: merge it with its parent first');
  checkDiskBytes(header.readBigUInt64LE(368), odd);
  const [dataAt, blockBytes, blocks] = [header.readUInt32LE(344), header.readUInt32LE(376), header.readUInt32LE(388)];
  if (dataAt + blockBytes * blocks > fileBytes) throw odd('it is cut off', 'corrupt');
}

/** Fewer bytes where the file ends. */
async function bytesAt(file: ImageFile, offset: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, offset);
  return buffer.subarray(0, bytesRead);
}
