/** Buckets with settings, and requests that are judged by them without a server: who asks is said, not signed. */
import type { Principal } from '../../../../src/identity/access_keys.ts';
import type { Account } from '../../../../src/identity/accounts.ts';
import { Access } from '../../../../src/northbound/s3/access.ts';
import type { Exchange } from '../../../../src/northbound/s3/exchange.ts';
import { readRequest } from '../../../../src/northbound/s3/request.ts';
import type { BucketRecord } from '../../../../src/catalog/object_records.ts';
import { ObjectWorld } from '../../../harness/object_world.ts';

/** Accounts by number: 1 owns the buckets. */
export type Who = 'owner' | 'owner-user' | 'other' | 'stranger' | 'nobody';
export const everyone: readonly Who[] = ['owner', 'owner-user', 'other', 'stranger', 'nobody'];

export const accountOf: Readonly<Record<Who, number>> = { owner: 1, 'owner-user': 1, other: 2, stranger: 3, nobody: 0 };

export function canonicalIdOf(account: number): string {
  return String(account).repeat(64);
}

export function accountNumberOf(account: number): string {
  return String(account).repeat(12);
}

export class AccessWorld {
  readonly world: ObjectWorld;
  readonly access: Access;

  private constructor(world: ObjectWorld) {
    this.world = world;
    this.access = new Access({ buckets: world.layer.buckets });
  }

  static async open(): Promise<AccessWorld> {
    return new AccessWorld(await ObjectWorld.open());
  }

  get buckets() {
    return this.world.layer.buckets;
  }

  bucket(name: string): Promise<BucketRecord> {
    return this.buckets.create({ name, account: 1, pool: 'default' });
  }

  exchange(who: Who, options: { readonly headers?: Readonly<Record<string, string>>; readonly query?: string } = {}): Exchange {
    const { headers = {}, query = '' } = options;
    const request = readRequest({
      method: 'GET',
      target: `/bucket/key${query}`,
      headers: Object.entries(headers),
      host: 's3.test',
      secure: false,
    });
    const principal = who === 'nobody' ? null : principalOf(who);
    return {
      requestId: '1',
      request,
      address: { bucket: 'bucket', key: 'key', style: 'path' },
      caller: principal === null ? null : { principal, accessKey: principal.accessKey, scheme: 'v4-header' },
      clientAddress: '::ffff:192.0.2.7',
      services: {
        access: this.access,
        store: this.world.layer,
        now: () => this.world.now,
        accounts: { get: async (account: number): Promise<Account> => accountWith(account) },
      },
    } as unknown as Exchange;
  }
}

function principalOf(who: Who): Principal {
  const account = accountOf[who];
  const root = who !== 'owner-user';
  return {
    accessKey: `KEY${account}`,
    account,
    accountName: `account-${account}`,
    displayName: `Account ${account}`,
    canonicalId: canonicalIdOf(account),
    accountNumber: accountNumberOf(account),
    user: root ? 'root' : 'ursula',
    userId: `ID${who}`,
    root,
  };
}

function accountWith(id: number): Account {
  return { id, canonicalId: canonicalIdOf(id), accountNumber: accountNumberOf(id) } as Account;
}
