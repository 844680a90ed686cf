/**
 * Which format a file has, from its own bytes and never from its name. A guest writes what it likes at the start of its
 * disk, so a raw disk can look like any of these: that is why whatever is found is only ever read with that one format named,
 * why files that it names are refused, and why `--format raw` exists.
 */
import type { ImportFormat } from '../../core/image_formats.js';
import { SkerryError } from '../../core/errors.js';

/** How much of a file's start formatOf() wants to see. */
export const format_head_bytes = 1024;
export const format_tail_bytes = 512;

interface Magic {
  readonly at: number;
  readonly bytes: string;
  readonly format: ImportFormat | { readonly refused: string };
}

const magics: readonly Magic[] = [
  { at: 0, bytes: 'QFI\xfb', format: 'qcow2' },
  { at: 0, bytes: 'KDMV', format: 'vmdk' },
  { at: 0, bytes: 'COWD', format: 'vmdk' },
  { at: 0, bytes: '# Disk DescriptorFile', format: 'vmdk' },
  { at: 0, bytes: 'vhdxfile', format: 'vhdx' },
  { at: 0, bytes: 'conectix', format: 'vhd' },
  { at: 64, bytes: '\x7f\x10\xda\xbe', format: 'vdi' },
  { at: 0, bytes: '\x1f\x8b\x08', format: 'gzip' },
  { at: 0, bytes: '\xfd7zXZ\0', format: 'xz' },
  { at: 0, bytes: '\x28\xb5\x2f\xfd', format: 'zstd' },
  { at: 0, bytes: 'QED\0', format: { refused: 'a QED image: qemu-img convert -O qcow2 makes one that can be imported' } },
  { at: 0, bytes: 'BZh91AY&SY', format: { refused: 'compressed with bzip2: import what `bzip2 -dc` makes of it' } },
  { at: 0, bytes: 'PK\x03\x04', format: { refused: 'a zip archive: unpack it, and import the disk image in it' } },
  { at: 0, bytes: '7z\xbc\xaf\x27\x1c', format: { refused: 'a 7z archive: unpack it, and import the disk image in it' } },
  { at: 0, bytes: '\x04\x22\x4d\x18', format: { refused: 'compressed with lz4: import what `lz4 -dc` makes of it' } },
];

/**
 * `head`: the first format_head_bytes of what `name` names, or all of it where it is shorter. `tail`: the last
 * format_tail_bytes of a file of `fileBytes`; a stream has none.
 * @throws SkerryError invalid for what is known and cannot be imported.
 */
export function formatOf(
  name: string,
  head: Uint8Array,
  end?: { readonly tail: Uint8Array; readonly fileBytes: number },
): ImportFormat {
  const found = magics.find(({ at, bytes }) => beginsWith(head.subarray(at), bytes));
  if (found !== undefined) {
    if (typeof found.format === 'string') return found.format;
    throw new SkerryError('invalid', `${name} is ${found.format.refused}. If it is a raw disk that only looks so: --format raw`);
  }
  return end !== undefined && isVhdFooter(end.tail, end.fileBytes - format_tail_bytes) ? 'vhd' : 'raw';
}

/** A VHD of fixed size is a raw disk with a footer, which must be whole and name exactly what stands before it. */
function isVhdFooter(tail: Uint8Array, diskBytes: number): boolean {
  if (tail.length !== format_tail_bytes || !beginsWith(tail, 'conectix')) return false;
  const view = new DataView(tail.buffer, tail.byteOffset, tail.byteLength);
  let sum = 0;
  tail.forEach((byte, index) => {
    if (index < 64 || index >= 68) sum += byte;
  });
  return view.getUint32(64) === ~sum >>> 0 && view.getBigUint64(48) === BigInt(diskBytes);
}

function beginsWith(data: Uint8Array, text: string): boolean {
  if (data.length < text.length) return false;
  for (let index = 0; index < text.length; index += 1) if (data[index] !== text.charCodeAt(index)) return false;
  return true;
}
