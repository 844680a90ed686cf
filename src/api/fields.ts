/** What the shapes of the admin API are made of. */
import { z } from 'zod';
import { compressionForms, parseCompression } from '../core/compression.js';
import { admin_file_path_characters_max, admin_segment_characters_max } from './routes.js';

export const bytes = z.number().int().nonnegative();
export const count = z.number().int().nonnegative();
export const time = z.iso.datetime();
export const nameText = z.string().max(admin_segment_characters_max);
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
