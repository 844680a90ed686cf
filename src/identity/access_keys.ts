/** Keys that users sign requests with. A secret is told once, when it is made. */
import type { Catalog, CatalogEntry, Write } from '../catalog/catalog.js';
import {
  decodeAccessKey,
  decodeAccount,
  decodeKeyUse,
  decodeUser,
  encodeAccessKey,
  type AccessKeyRecord,
} from '../catalog/identity_records.js';
import { accessKeyKey, accountKey, keysOfAccountPrefix, keyUseKey, userKey } from '../catalog/keys.js';
import { SkerryError } from '../core/errors.js';
import { rootUserName, type Accounts } from './accounts.js';
import { decided } from './decided.js';
import { KeyCache } from './key_cache.js';
import { KeyUses } from './key_uses.js';
import { newAccessKey, newSecretKey } from './random_text.js';
import type { Users } from './users.js';
import type { Vault } from './vault.js';

/** Of one account: a list is one answer, and a deletion one transaction. */
export const keys_per_account_max = 1000;

export interface AccessKey {
  readonly accessKey: string;
  readonly account: number;
  readonly user: string;
  readonly active: boolean;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** As of a minute ago; null: never. */
  readonly lastUsedAt: number | null;
}

/** Not to be logged or shown again. */
export interface NewAccessKey {
  readonly accessKey: string;
  readonly secretKey: string;
}

/** Who a request is from. */
export interface Principal {
  readonly accessKey: string;
  readonly account: number;
  readonly accountName: string;
  readonly displayName: string;
  readonly canonicalId: string;
  readonly accountNumber: string;
  readonly user: string;
  readonly userId: string;
  readonly root: boolean;
}

export interface Authenticating {
  readonly secretKey: string;
  readonly principal: Principal;
}

export interface AccessKeysOptions {
  readonly catalog: Catalog;
  readonly vault: Vault;
  readonly accounts: Accounts;
  readonly users: Users;
  readonly now: () => number;
}

export class AccessKeys {
  readonly #options: AccessKeysOptions;
  readonly #cache: KeyCache<Authenticating>;
  readonly #uses: KeyUses;

  constructor(options: AccessKeysOptions) {
    this.#options = options;
    this.#cache = new KeyCache({ catalog: options.catalog, read: (accessKey) => this.#authenticating(accessKey) });
    this.#uses = new KeyUses(options);
  }

  /** Of the account's root user where none is named. @throws SkerryError not-found, conflict, too-large, unavailable */
  async create(account: string | number, user = rootUserName): Promise<NewAccessKey> {
    const { catalog, accounts, users } = this.#options;
    return decided(catalog, async () => {
      const entry = await accounts.livingEntry(account);
      const { id, name } = entry.record;
      const owner = await users.entry(id, user);
      const index = await catalog.range(keysOfAccountPrefix(id), { entriesMax: keys_per_account_max });
      if (index.length === keys_per_account_max)
        throw new SkerryError('too-large', `account ${name} has ${keys_per_account_max} keys: revoke some first`);
      const made = this.#make(id, owner);
      return {
        compares: [entry, owner, { key: accessKeyKey(made.result.accessKey), revision: 0 }],
        writes: made.writes,
        result: made.result,
      };
    });
  }

  /** Ordered by access key. @throws SkerryError not-found for the account */
  async list(account: string | number): Promise<AccessKey[]> {
    const { catalog, accounts } = this.#options;
    const { record } = await accounts.entry(account);
    const index = await catalog.range(keysOfAccountPrefix(record.id));
    const found = await Promise.all(
      index.map(async ({ key }) => {
        const entry = await catalog.get(accessKeyKey(key.slice(key.lastIndexOf('/') + 1)));
        return entry === null ? null : this.#view(decodeAccessKey(entry.value));
      }),
    );
    return found.filter((one) => one !== null);
  }

  /** @throws SkerryError not-found */
  async get(accessKey: string): Promise<AccessKey> {
    return this.#view(decodeAccessKey((await this.#entry(accessKey)).value));
  }

  /** One that is not active opens nothing, at once; where that failed, it is as the catalog has it. @throws SkerryError not-found */
  async setActive(accessKey: string, active: boolean): Promise<AccessKey> {
    const record = await decided(this.#options.catalog, async () => {
      const entry = await this.#entry(accessKey);
      const changed = { ...decodeAccessKey(entry.value), active };
      return { compares: [entry], writes: [{ key: entry.key, value: encodeAccessKey(changed) }], result: changed };
    }).finally(() => this.#cache.forget(accessKey));
    return this.#view(record);
  }

  /** For ever, and at once. @throws SkerryError not-found */
  async revoke(accessKey: string): Promise<void> {
    await decided(this.#options.catalog, async () => {
      const entry = await this.#entry(accessKey);
      return { compares: [entry], writes: this.#removal(decodeAccessKey(entry.value)), result: undefined };
    }).finally(() => this.#cache.forget(accessKey));
  }

  /** A new key for the same user, and the old one revoked, in one step. @throws SkerryError not-found, conflict, unavailable */
  async rotate(accessKey: string): Promise<NewAccessKey> {
    const { catalog, accounts, users } = this.#options;
    const result = await decided(catalog, async () => {
      const entry = await this.#entry(accessKey);
      const old = decodeAccessKey(entry.value);
      const account = await accounts.livingEntry(old.account);
      const owner = await users.entry(old.account, old.user);
      const made = this.#make(old.account, owner);
      return {
        compares: [entry, account, owner, { key: accessKeyKey(made.result.accessKey), revision: 0 }],
        writes: [...made.writes, ...this.#removal(old)],
        result: made.result,
      };
    }).finally(() => this.#cache.forget(accessKey));
    return result;
  }

  /**
   * What a signature of this key is checked with, and who signed. null: there is no such key, or it is not active, or its account is
   * not. @throws SkerryError unavailable without an identity key, corrupt
   */
  byAccessKey(accessKey: string): Promise<Authenticating | null> {
    return /^[A-Z0-9]{20}$/.test(accessKey) ? this.#cache.get(accessKey) : Promise.resolve(null);
  }

  /** What hangs on an account or a user that has just changed opens nothing that was read before. */
  forgetAll(): void {
    this.#cache.forgetAll();
  }

  /** After a signature was found good. Costs nothing now: it is written within a minute. */
  noteUse(accessKey: string): void {
    this.#uses.note(accessKey);
  }

  /** Writes what was noted. Called each minute, and at the end. */
  flush(): Promise<void> {
    return this.#uses.flush();
  }

  close(): void {
    this.#cache.close();
  }

  #make(account: number, owner: CatalogEntry): { readonly writes: readonly Write[]; readonly result: NewAccessKey } {
    const { vault, now } = this.#options;
    const result = { accessKey: newAccessKey(), secretKey: newSecretKey() };
    const key = accessKeyKey(result.accessKey);
    const record: AccessKeyRecord = {
      accessKey: result.accessKey,
      account,
      user: decodeUser(owner.value).name,
      wrapped: vault.wrap(key, Buffer.from(result.secretKey, 'ascii')),
      active: true,
      createdAt: now(),
    };
    const writes = [
      { key, value: encodeAccessKey(record) },
      { key: keysOfAccountPrefix(account) + result.accessKey, value: new Uint8Array(0) },
      // As it is, so that a deletion of the user that is under way does not pass this key by.
      { key: owner.key, value: owner.value },
    ];
    return { writes, result };
  }

  #removal({ accessKey, account }: AccessKeyRecord): Write[] {
    const keys = [accessKeyKey(accessKey), keysOfAccountPrefix(account) + accessKey, keyUseKey(accessKey)];
    return keys.map((key) => ({ key, value: null }));
  }

  async #entry(accessKey: string): Promise<CatalogEntry> {
    const entry = /^[A-Z0-9]{20}$/.test(accessKey) ? await this.#options.catalog.get(accessKeyKey(accessKey)) : null;
    if (entry === null) throw new SkerryError('not-found', 'there is no such access key');
    return entry;
  }

  async #view(key: AccessKeyRecord): Promise<AccessKey> {
    const { wrapped: _, ...record } = key;
    const used = await this.#options.catalog.get(keyUseKey(record.accessKey));
    return { ...record, lastUsedAt: used === null ? null : decodeKeyUse(used.value) };
  }

  async #authenticating(accessKey: string): Promise<Authenticating | null> {
    const { catalog, vault } = this.#options;
    const entry = await catalog.get(accessKeyKey(accessKey));
    if (entry === null) return null;
    const key = decodeAccessKey(entry.value);
    const owner = key.active ? await catalog.get(accountKey(key.account)) : null;
    if (owner === null) return null;
    const account = decodeAccount(owner.value);
    if (account.state !== 'active') return null;
    const signer = await catalog.get(userKey(account.id, key.user));
    // Deleted since the key was read, and the key with it.
    if (signer === null) return null;
    const user = decodeUser(signer.value);
    return {
      secretKey: Buffer.from(vault.unwrap(entry.key, key.wrapped)).toString('ascii'),
      principal: {
        accessKey,
        account: account.id,
        accountName: account.name,
        displayName: account.displayName,
        canonicalId: Buffer.from(account.canonicalId).toString('hex'),
        accountNumber: account.accountNumber,
        user: user.name,
        userId: user.id,
        root: user.root,
      },
    };
  }
}
