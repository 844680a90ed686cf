/** Chunks as files of a directory on this host. */
import { z } from 'zod';

import { ChunkFiles } from '../../src/driver/chunk_files.js';
import { registerDriver } from '../../src/driver/registry.js';

const place = z.string().min(1).startsWith('/', 'must be an absolute path');

export const localDriver = registerDriver({
  name: 'local',
  description: 'Chunks as files of a directory on this host',
  settings: z
    .strictObject({
      path: place.optional(),
      /** What `path` was called first. */
      directory: place.optional(),
      /** off: native threads reach the chunks through this driver alone, as if they were far away. To test that. */
      'direct-path': z.enum(['on', 'off']).default('on'),
    })
    .transform(({ path, directory = path, 'direct-path': direct }, context) => {
      if (directory !== undefined && (path ?? directory) === directory) return { directory, direct: direct === 'on' };
      context.addIssue('give path, the directory that is to hold the chunks');
      return z.NEVER;
    }),
  open: async ({ directory, direct }) => ChunkFiles.open(directory, direct),
  openToRead: async ({ directory }) => ChunkFiles.openToRead(directory),
});
