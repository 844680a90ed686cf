/** What the shapes of the admin API are made of. */
import { z } from 'zod';
import { compressionForms, parseCompression } from '../core/compression.js';
import { admin_file_path_characters_max, admin_page_resources_max, admin_segment_characters_max } from './routes.js';

export const bytes = z.number().int().nonnegative();
export const count = z.number().int().nonnegative();
export const time = z.iso.datetime();
export const nameText = z.string().max(admin_segment_characters_max);
/** What a volume can be made from: the longest is an object of the longest key, with its version. */
export const sourceText = z.string().max(2048);
export const filePath = z
  .string()
  .max(admin_file_path_characters_max)
  .refine((path) => path.startsWith('/') && !path.includes('\0'), 'must be an absolute path of a file on the daemon’s host');

const compression_characters_max = 40;
export const compression = z
  .string()
  .max(compression_characters_max)
  .refine((text) => parseCompression(text) !== null, `must be ${compressionForms}`);
export const volumeCompression = z
  .string()
  .max(compression_characters_max)
  .refine((text) => text === 'inherit' || parseCompression(text) !== null, `must be inherit, ${compressionForms}`);

export const byName = z.strictObject({ name: nameText });

/** Of a query. */
export const seconds = z
  .string()
  .regex(/^\d{1,7}$/, 'must be a whole number of seconds')
  .transform(Number);

/** Of a list: names after `after`, at most `limit` of them. */
export const page = {
  after: nameText.exactOptional(),
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/, 'must be a number from 1 on')
    .transform(Number)
    .refine((limit) => limit <= admin_page_resources_max, `must be at most ${admin_page_resources_max}`)
    .exactOptional(),
};
/** Where the list goes on: the last name of the page, or null where there is no more. */
export const next = z.string().nullable();
