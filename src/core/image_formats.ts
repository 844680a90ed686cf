/** Formats of disk images as users name them. What each needs is told where it is read or written. */

/** What an import can read. gzip, xz and zstd hold a raw image. */
export const importFormats = ['raw', 'qcow2', 'vmdk', 'vhd', 'vhdx', 'vdi', 'gzip', 'xz', 'zstd'] as const;
export type ImportFormat = (typeof importFormats)[number];

export const exportFormats = ['raw', 'qcow2'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/** Whether `source` is the address of an NBD server: nbd://HOST/EXPORT, nbd+unix:///EXPORT?socket=PATH. */
export function isNbdUri(source: string): boolean {
  return /^nbds?(?:\+unix)?:\/\//.test(source);
}
