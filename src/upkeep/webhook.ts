/** One message to a webhook, signed as the specification of Standard Webhooks 1.0 says. */
import { createHmac } from 'node:crypto';

import { toSkerryError } from '../core/errors.js';

export interface Webhook {
  readonly name: string;
  /** http or https, without a user. */
  readonly url: string;
  /** null: messages are not signed. */
  readonly secret: Uint8Array | null;
}

export interface Message {
  /** The same whenever it is sent again. */
  readonly id: string;
  /** JSON. */
  readonly body: string;
}

/** refused: it was answered, with anything but 2xx. away: nobody answered. */
export type Posted = { readonly outcome: 'taken' } | { readonly outcome: 'refused' | 'away'; readonly why: string };

/** Of an answer that is read so that its connection can be used again. */
const answer_bytes_max = 64 * 1024;

export interface PostOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** Whoever aborts waits no longer. */
  readonly signal: AbortSignal;
}

/** Redirects are not followed: where messages go is the operator's to say, and nobody else's. Never rejects. */
export async function post(webhook: Webhook, message: Message, { now, signal }: PostOptions): Promise<Posted> {
  try {
    const response = await fetch(webhook.url, {
      method: 'POST',
      redirect: 'manual',
      headers: { 'content-type': 'application/json', 'user-agent': 'Skerry', ...signatureHeaders(webhook, message, now) },
      body: message.body,
      signal,
    });
    await passOver(response);
    return response.ok ? { outcome: 'taken' } : { outcome: 'refused', why: `it answered ${response.status}` };
  } catch (error) {
    const { cause, message: words } = toSkerryError(error);
    return { outcome: 'away', why: cause instanceof Error && cause.cause instanceof Error ? cause.cause.message : words };
  }
}

/** Its status has said all. Never rejects. */
async function passOver({ body }: Response): Promise<void> {
  let bytes = 0;
  try {
    for await (const piece of body ?? []) {
      bytes += piece.length;
      if (bytes > answer_bytes_max) return;
    }
  } catch {
    // The connection ended, or nobody waits any more.
  }
}

export function signatureHeaders({ secret }: Webhook, { id, body }: Message, now: number): Record<string, string> {
  const timestamp = String(Math.floor(now / 1000));
  const plain = { 'webhook-id': id, 'webhook-timestamp': timestamp };
  if (secret === null) return plain;
  const signature = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64');
  return { ...plain, 'webhook-signature': `v1,${signature}` };
}
