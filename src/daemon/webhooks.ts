/** Webhooks as the configuration names them, with their secrets. */
import { SkerryError } from '../core/errors.js';
import type { Webhook } from '../upkeep/webhook.js';
import type { Config } from './config.js';
import { loose_mode, readSmall } from './small_file.js';

/** Less can be guessed. */
const secret_bytes_min = 16;
/** What a secret in base 64 begins with, as Standard Webhooks has it. */
const encoded_mark = 'whsec_';

/** @throws SkerryError that names the file */
export function readWebhooks(configured: Config['s3Webhooks']): Promise<readonly Webhook[]> {
  return Promise.all(
    Object.entries(configured).map(async ([name, { url, secretFile }]) => {
      return { name, url, secret: secretFile === undefined ? null : await readSecret(secretFile, name) };
    }),
  );
}

async function readSecret(path: string, webhook: string): Promise<Uint8Array> {
  const text = (await readSmall(path, `the secret of webhook ${webhook}`, loose_mode)).text.trim();
  const secret = text.startsWith(encoded_mark) ? Buffer.from(text.slice(encoded_mark.length), 'base64') : Buffer.from(text);
  if (secret.length < secret_bytes_min)
    throw new SkerryError(
      'invalid',
      `the secret of webhook ${webhook} in ${path} is too short: it has ${secret_bytes_min} bytes at least`,
    );
  return secret;
}
