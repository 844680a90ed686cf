/** What has to be known to reach a bucket, for each driver that speaks S3 or a dialect of it. */
import { readFile } from 'node:fs/promises';

import { z } from 'zod';

import { SkerryError } from '../../src/core/errors.js';

const timeout_seconds_default = 30;
const timeout_seconds_max = 600;
/** S3 takes keys of 1024 bytes, and a chunk's key may have 512. */
const prefix_characters_max = 500;

/** Of a zod strict object; what a driver has besides is its own. */
export const bucketSettings = {
  bucket: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,254}$/, 'must be the name of a bucket'),
  prefix: z
    .string()
    .max(prefix_characters_max)
    .regex(/^(?:[A-Za-z0-9][A-Za-z0-9._-]*(?:\/[A-Za-z0-9][A-Za-z0-9._-]*)*\/?)?$/, 'must be a path such as skerry/pool1')
    .transform((prefix) => (prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`))
    .default(''),
  'access-key': z.string().min(1),
  'secret-key': z.string().min(1).optional(),
  'secret-key-file': z.string().startsWith('/', 'must be an absolute path').optional(),
  'timeout-seconds': z.coerce.number().int().min(1).max(timeout_seconds_max).default(timeout_seconds_default),
};

export const endpointSetting = z
  .url({ protocol: /^https?$/, error: 'must be a URL such as https://s3.example.org' })
  .refine(isBare, 'must have no user, query or fragment');

export interface SecretSettings {
  readonly 'secret-key'?: string | undefined;
  readonly 'secret-key-file'?: string | undefined;
}

export function hasOneSecret(settings: SecretSettings): boolean {
  return (settings['secret-key'] === undefined) !== (settings['secret-key-file'] === undefined);
}

export const oneSecretMessage = 'secret-key or secret-key-file must be given, and not both';

/** @throws SkerryError invalid where the file is empty, and what reading it throws */
export async function readSecret(settings: SecretSettings): Promise<string> {
  const path = settings['secret-key-file'];
  if (path === undefined) return settings['secret-key'] ?? '';
  const secret = (await readFile(path, 'utf8')).trim();
  if (secret === '') throw new SkerryError('invalid', `secret-key-file: ${path} is empty`);
  return secret;
}

function isBare(text: string): boolean {
  const { username, password, search, hash } = new URL(text);
  return username === '' && password === '' && search === '' && hash === '';
}
