/** What travels on the routes that make a pool and change it. */
import { z } from 'zod';
import { compression, nameText } from './fields.js';
import { admin_file_path_characters_max, admin_segment_characters_max } from './routes.js';

/** Where the key of an encrypted pool comes from, now and at each start: never the key itself. */
const keySource = z.strictObject({
  kind: z.enum(['file', 'command']),
  from: z
    .string()
    .max(admin_file_path_characters_max)
    .describe("An absolute path on the daemon's host; of a command, a program's and then its arguments, with spaces between."),
});
export type KeySourceText = z.infer<typeof keySource>;

/** `settings`: those of the driver, and on-outage and stall-seconds of the pool itself. */
export const createPoolRequest = z.strictObject({
  name: nameText,
  driver: nameText,
  settings: z.record(z.string().max(admin_segment_characters_max), z.string().max(admin_file_path_characters_max)),
  compression: compression.exactOptional(),
  key: keySource.exactOptional().describe('The pool is encrypted, for ever, with secrets that are wrapped under this key.'),
});
export type CreatePoolRequest = z.infer<typeof createPoolRequest>;
/** Of blocks that are written from here on. */
export const setPoolRequest = z.strictObject({ compression });
export type SetPoolRequest = z.infer<typeof setPoolRequest>;
export const changeKeyRequest = z.strictObject({ key: keySource });
export type ChangeKeyRequest = z.infer<typeof changeKeyRequest>;
