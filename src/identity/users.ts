/** Users of accounts. Their keys go with them. */
import type { Catalog, CatalogEntry } from '../catalog/catalog.js';
import { decodeAccessKey, decodeUser, encodeUser, type UserRecord } from '../catalog/identity_records.js';
import { accessKeyKey, keysOfAccountPrefix, keyUseKey, userKey, usersPrefix } from '../catalog/keys.js';
import { SkerryError } from '../core/errors.js';
import { checkUserName } from '../core/names.js';
import type { Accounts } from './accounts.js';
import { decided } from './decided.js';
import { newUserId } from './random_text.js';

/** Of one account: a list is one answer, and a deletion one transaction. */
export const users_per_account_max = 1000;

export interface UsersOptions {
  readonly catalog: Catalog;
  readonly accounts: Accounts;
  readonly now: () => number;
  /** A user is gone: what its keys opened is not open any more. */
  readonly onChanged: () => void;
}

export class Users {
  readonly #options: UsersOptions;

  constructor(options: UsersOptions) {
    this.#options = options;
  }

  /** @throws SkerryError exists, invalid, not-found for the account, conflict, too-large */
  async create(account: string | number, name: string): Promise<UserRecord> {
    checkUserName(name);
    const { catalog, accounts, now } = this.#options;
    return decided(catalog, async () => {
      const entry = await accounts.livingEntry(account);
      const { id } = entry.record;
      const key = userKey(id, name);
      if ((await catalog.get(key)) !== null)
        throw new SkerryError('exists', `account ${entry.record.name} has a user ${name} already`);
      if ((await catalog.range(usersPrefix(id), { entriesMax: users_per_account_max })).length === users_per_account_max)
        throw new SkerryError('too-large', `an account has at most ${users_per_account_max} users`);
      const record: UserRecord = { account: id, name, id: newUserId(), root: false, createdAt: now() };
      return { compares: [entry, { key, revision: 0 }], writes: [{ key, value: encodeUser(record) }], result: record };
    });
  }

  /** By name, ascending. @throws SkerryError not-found for the account */
  async list(account: string | number): Promise<UserRecord[]> {
    const { catalog, accounts } = this.#options;
    const { record } = await accounts.entry(account);
    return (await catalog.range(usersPrefix(record.id))).map(({ value }) => decodeUser(value));
  }

  /** @throws SkerryError not-found, conflict for the root user */
  async remove(account: string | number, name: string): Promise<void> {
    const { catalog, accounts } = this.#options;
    await decided(catalog, async () => {
      const { record } = await accounts.entry(account);
      const entry = await this.entry(record.id, name);
      if (decodeUser(entry.value).root)
        throw new SkerryError('conflict', `${name} is the first user of account ${record.name}, and goes with it`);
      // Whoever makes a key for the user writes the user too: so none can come to be since this was read.
      const keys = await this.#keysOf(record.id, name);
      const writes = [entry.key, ...keys].map((key) => ({ key, value: null }));
      return { compares: [entry], writes, result: undefined };
    }).finally(this.#options.onChanged);
  }

  /** @throws SkerryError not-found */
  async entry(account: number, name: string): Promise<CatalogEntry> {
    const entry = await this.#options.catalog.get(userKey(account, checkUserName(name)));
    if (entry === null) throw new SkerryError('not-found', `the account has no user ${name}`);
    return entry;
  }

  async #keysOf(account: number, name: string): Promise<string[]> {
    const { catalog } = this.#options;
    const index = await catalog.range(keysOfAccountPrefix(account));
    const found = await Promise.all(
      index.map(async ({ key }) => {
        const accessKey = key.slice(key.lastIndexOf('/') + 1);
        const entry = await catalog.get(accessKeyKey(accessKey));
        const own = entry !== null && decodeAccessKey(entry.value).user === name;
        return own ? [key, accessKeyKey(accessKey), keyUseKey(accessKey)] : [];
      }),
    );
    return found.flat();
  }
}
