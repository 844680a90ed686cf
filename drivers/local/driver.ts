/** Chunks as files of a directory on this host. */
import { z } from 'zod';

import { ChunkFiles } from '../../src/driver/chunk_files.js';
import { registerDriver } from '../../src/driver/registry.js';

export const localDriver = registerDriver({
  name: 'local',
  description: 'Chunks as files of a directory on this host',
  settings: z.strictObject({
    directory: z.string().min(1).startsWith('/', 'must be an absolute path'),
    /** off: native threads reach the chunks through this driver alone, as if they were far away. To test that. */
    'direct-path': z.enum(['on', 'off']).default('on'),
  }),
  open: async (settings) => ChunkFiles.open(settings.directory, settings['direct-path'] === 'on'),
  openToRead: async (settings) => ChunkFiles.openToRead(settings.directory),
});
