/** Chunks as files of an NFS export: over the network from here, or in a directory where this host has it mounted. */
import { stat } from 'node:fs/promises';

import { z } from 'zod';

import { toSkerryError } from '../../src/core/errors.js';
import { ChunkFiles } from '../../src/driver/chunk_files.js';
import type { Driver } from '../../src/driver/driver.js';
import { registerDriver } from '../../src/driver/registry.js';
import { ExportDriver, type ExportOptions } from './export_driver.js';
import { locationSetting, type Location } from './location.js';

interface Settings {
  readonly url?: Location | undefined;
  readonly path?: string | undefined;
  readonly 'timeout-seconds': number;
}

export const nfsDriver = registerDriver<Settings>({
  name: 'nfs',
  description: 'Chunks as files of an NFS export, which need not be mounted',
  settings: z
    .strictObject({
      url: locationSetting.optional(),
      path: z.string().min(1).startsWith('/', 'must be an absolute path').optional(),
      'timeout-seconds': z.coerce.number().int().min(1).max(600).default(30),
    })
    .refine(
      ({ url, path }) => (url === undefined) !== (path === undefined),
      'either url, as nfs://host/export/directory, or path, of a directory of a mounted export',
    ),
  open: (settings) =>
    opened(
      settings,
      (options) => ExportDriver.open(options),
      (path) => ChunkFiles.open(path),
    ),
  openToRead: (settings) =>
    opened(
      settings,
      (options) => ExportDriver.openToRead(options),
      (path) => ChunkFiles.openToRead(path),
    ),
});

async function opened(
  { url: location, path = '', 'timeout-seconds': timeoutSeconds }: Settings,
  overNetwork: (options: ExportOptions) => Promise<Driver>,
  asFiles: (path: string) => Promise<Driver>,
): Promise<Driver> {
  if (location !== undefined) return overNetwork({ location, timeoutMilliseconds: timeoutSeconds * 1000 });
  // It is not made: below a mount point where nothing is mounted it would be on the disk of this host.
  await stat(path).catch((error: unknown) => {
    throw toSkerryError(error, `${path} must be there (is the export mounted?)`);
  });
  return asFiles(path);
}
