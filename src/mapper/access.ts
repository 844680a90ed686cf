/** Who may attach a volume: the list of clients that its record holds, and how it changes. */
import type { AccessRecord } from '../catalog/access_record.js';
import type { ResourceRecord } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { access_grants_max, client_name_characters_max } from '../core/limits.js';
import type { Ledger } from './ledger.js';
import type { AccessChange, Client, Grant } from './resources.js';

const user_id_max = 2 ** 32 - 2;

/** @throws SkerryError invalid naming what is wrong; not-found for a denied client that is not on the list. */
export function changedAccess(before: AccessRecord | null, change: AccessChange): AccessRecord | null {
  const { allow = [], deny = [], anyone = false } = change;
  if (anyone) {
    if (allow.length + deny.length > 0) throw new SkerryError('invalid', 'either anyone may attach it, or there is a list');
    return null;
  }
  const grants = new Map((before?.grants ?? []).map((grant) => [keyOf(grant), grant]));
  for (const client of deny.map(checkClient)) {
    // What nobody was given cannot be taken away; a slip of the pen should not look like success.
    if (!grants.delete(keyOf(client)))
      throw new SkerryError('not-found', `${describe(client)} is not on the list${before === null ? ': there is none' : ''}`);
  }
  for (const grant of allow) {
    const { readOnly } = grant;
    const client = checkClient(grant);
    grants.set(keyOf(client), { ...client, readOnly });
  }
  if (grants.size > access_grants_max)
    throw new SkerryError('invalid', `a volume has at most ${access_grants_max} clients on its list, not ${grants.size}`);
  const ordered = [...grants].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, grant]): Grant => grant);
  return { grants: ordered };
}

/** What a clone of it begins with: who may not have the one must not get the other by default. A snapshot has its volume's. */
export async function inheritedAccess(ledger: Ledger, from: ResourceRecord): Promise<AccessRecord | null> {
  if (from.kind !== 'snapshot') return from.access;
  const volume = await ledger.find('volume', from.name.slice(0, from.name.indexOf('@')));
  return volume?.record.access ?? null;
}

function checkClient({ kind, client }: Client): Client {
  if (kind === 'user') {
    if (!/^(?:0|[1-9]\d{0,9})$/.test(client) || Number(client) > user_id_max)
      throw new SkerryError(
        'invalid',
        `${JSON.stringify(client.slice(0, 60))} is no user id: write a number, as id -u prints it`,
      );
    return { kind, client };
  }
  const shown = JSON.stringify(client.slice(0, 60));
  if (client === '') throw new SkerryError('invalid', 'a client has a name: the common name or a DNS name of its certificate');
  if (client.length > client_name_characters_max)
    throw new SkerryError('invalid', `client ${shown} has over ${client_name_characters_max} characters`);
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(client))
    throw new SkerryError('invalid', `client ${shown} has control characters in its name`);
  return { kind, client };
}

function keyOf({ kind, client }: Client): string {
  return `${kind} ${client}`;
}

function describe({ kind, client }: Client): string {
  return kind === 'user' ? `user ${client}` : `client ${client}`;
}
