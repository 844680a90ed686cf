/** Accounts: who stores objects. Each has keys of its own for what it stores, and an id that is never reused. */
import { randomBytes } from 'node:crypto';

import type { Catalog, CatalogEntry, Write } from '../catalog/catalog.js';
import {
  decodeAccount,
  encodeAccount,
  encodeUser,
  noQuota,
  type AccountRecord,
  type AccountState,
  type QuotaRecord,
} from '../catalog/identity_records.js';
import {
  accessKeyKey,
  accountCounterKey,
  accountKey,
  accountNamePrefix,
  accountNumberPrefix,
  bucketQuotasPrefix,
  canonicalIdPrefix,
  countedOfAccountPrefix,
  decodeId,
  encodeId,
  keysOfAccountPrefix,
  keyUseKey,
  userKey,
  usersPrefix,
} from '../catalog/keys.js';
import { decodeCounter, encodeCounter } from '../catalog/records.js';
import { SkerryError } from '../core/errors.js';
import { display_name_characters_max } from '../core/limits.js';
import { checkAccountName } from '../core/names.js';
import { decided, type Decision } from './decided.js';
import { newAccountNumber, newUserId } from './random_text.js';
import type { Vault } from './vault.js';

export const rootUserName = 'root';
/** Domains below are those of pools, which count from 1. Accounts count from 1 too: this one is of whom nobody knows. */
const account_domain_first = 2 ** 20;
const secret_bytes = 32;

export interface Account {
  readonly id: number;
  readonly name: string;
  readonly displayName: string;
  /** 64 hexadecimal digits. */
  readonly canonicalId: string;
  /** 12 digits. */
  readonly accountNumber: string;
  readonly domain: number;
  readonly state: AccountState;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly quota: QuotaRecord;
}

export interface AccountSecrets {
  /** 32 bytes: of the ids of its blocks. */
  readonly domainKey: Uint8Array;
  /** 32 bytes: what its blocks are encrypted with. */
  readonly encryptionKey: Uint8Array;
}

/** null for a domain that is no account's. */
export function accountOfDomain(domain: number): number | null {
  return domain > account_domain_first ? domain - account_domain_first : null;
}

/** Of the blocks that an account stores; null: of all who bring something without saying who they are. */
export function domainOfAccount(id: number | null): number {
  return account_domain_first + (id ?? 0);
}

/** An account as it was read, to be compared in a transaction that is decided on it. */
export interface AccountEntry {
  readonly record: AccountRecord;
  readonly key: string;
  readonly revision: number;
}

export interface AccountsOptions {
  readonly catalog: Catalog;
  readonly vault: Vault;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What is still in an account, in words, for the refusal of its deletion; null: nothing. */
  readonly holds: (account: Account) => Promise<string | null>;
  /** An account is not what it was: nor is what its keys open. */
  readonly onChanged: () => void;
}

export class Accounts {
  readonly #options: AccountsOptions;

  constructor(options: AccountsOptions) {
    this.#options = options;
  }

  /** With its root user. @throws SkerryError exists, invalid, unavailable without an identity key */
  async create(name: string, options: { readonly displayName?: string } = {}): Promise<Account> {
    checkAccountName(name);
    const { catalog, vault, now } = this.#options;
    const displayName = checkDisplayName(options.displayName ?? name);
    return decided(catalog, async () => {
      const nameKey = accountNamePrefix + name;
      if ((await catalog.get(nameKey)) !== null) throw new SkerryError('exists', `there is an account ${name} already`);
      const counter = await catalog.get(accountCounterKey);
      const id = counter === null ? 1 : decodeCounter(counter.value).next;
      const secrets = randomBytes(2 * secret_bytes);
      const record: AccountRecord = {
        id,
        name,
        displayName,
        canonicalId: Uint8Array.from(randomBytes(32)),
        accountNumber: newAccountNumber(),
        domain: domainOfAccount(id),
        wrapped: vault.wrap(accountKey(id), secrets),
        state: 'active',
        createdAt: now(),
        quota: noQuota,
      };
      secrets.fill(0);
      const root = { account: id, name: rootUserName, id: newUserId(), root: true, createdAt: record.createdAt };
      const numberKey = accountNumberPrefix + record.accountNumber;
      return {
        compares: [
          { key: nameKey, revision: 0 },
          { key: numberKey, revision: 0 },
          { key: accountCounterKey, revision: counter?.revision ?? 0 },
        ],
        writes: [
          { key: accountCounterKey, value: encodeCounter({ next: id + 1 }) },
          { key: accountKey(id), value: encodeAccount(record) },
          { key: nameKey, value: encodeId(id) },
          { key: numberKey, value: encodeId(id) },
          { key: canonicalIdPrefix + hexOf(record.canonicalId), value: encodeId(id) },
          { key: userKey(id, rootUserName), value: encodeUser(root) },
        ],
        result: viewOf(record),
      };
    });
  }

  /** By name, ascending, those after `after`. */
  async list({ after, accountsMax }: { readonly after?: string; readonly accountsMax?: number } = {}): Promise<Account[]> {
    const { catalog } = this.#options;
    const names = await catalog.range(accountNamePrefix, {
      ...(after === undefined ? {} : { after: accountNamePrefix + checkAccountName(after) }),
      ...(accountsMax === undefined ? {} : { entriesMax: accountsMax }),
    });
    const found = await Promise.all(names.map(({ value }) => catalog.get(accountKey(decodeId(value)))));
    // One that was deleted since its name was read is none.
    return found.filter((entry) => entry !== null).map(({ value }) => viewOf(decodeAccount(value)));
  }

  /** By name or id. @throws SkerryError not-found */
  async get(account: string | number): Promise<Account> {
    return viewOf((await this.entry(account)).record);
  }

  /** null where nobody has that number of 12 digits. */
  byNumber(accountNumber: string): Promise<Account | null> {
    return this.#byIndex(accountNumberPrefix, /^\d{12}$/.test(accountNumber) ? accountNumber : null);
  }

  /** null where nobody has that id of 64 hexadecimal digits. */
  byCanonicalId(canonicalId: string): Promise<Account | null> {
    return this.#byIndex(canonicalIdPrefix, /^[0-9a-f]{64}$/.test(canonicalId) ? canonicalId : null);
  }

  /** All that is its own stays so, for it refers to the id. @throws SkerryError exists, not-found, invalid */
  async rename(name: string, to: string): Promise<Account> {
    checkAccountName(to);
    const { catalog } = this.#options;
    return this.#changed(async () => {
      const entry = await this.entry(name);
      if (to !== name && (await catalog.get(accountNamePrefix + to)) !== null)
        throw new SkerryError('exists', `there is an account ${to} already`);
      const record = { ...entry.record, name: to };
      const write: Write = { key: entry.key, value: encodeAccount(record) };
      if (to === name) return { compares: [entry], writes: [write], result: viewOf(record) };
      return {
        compares: [entry, { key: accountNamePrefix + to, revision: 0 }],
        writes: [
          write,
          { key: accountNamePrefix + name, value: null },
          { key: accountNamePrefix + to, value: encodeId(record.id) },
        ],
        result: viewOf(record),
      };
    });
  }

  /** @throws SkerryError not-found, invalid */
  setDisplayName(name: string, displayName: string): Promise<Account> {
    checkDisplayName(displayName);
    return this.change(name, (record) => ({ ...record, displayName }));
  }

  /** Its keys open nothing until it is resumed. @throws SkerryError not-found, conflict while it is being deleted */
  suspend(name: string): Promise<Account> {
    return this.change(name, (record) => {
      if (record.state === 'deleting') throw new SkerryError('conflict', `account ${name} is being deleted`);
      return { ...record, state: 'suspended' };
    });
  }

  /** Also one whose deletion was begun and not finished. @throws SkerryError not-found */
  resume(name: string): Promise<Account> {
    return this.change(name, (record) => ({ ...record, state: 'active' }));
  }

  /**
   * With its users and keys; what it used stays to be read until it is too old.
   * @throws SkerryError conflict where something is in it, not-found
   */
  async remove(name: string): Promise<void> {
    const { catalog, holds, onChanged } = this.#options;
    const { id, state } = await this.get(name);
    // From here on whatever would come to be in it compares a record that is no more, or reads that it is being deleted.
    await this.change(id, (record) => ({ ...record, state: 'deleting' }));
    // Read before what is in it is: who takes the mark back meanwhile, and perhaps sets it again, changes this.
    const marked = await this.entry(id);
    if (marked.record.state !== 'deleting') throw new SkerryError('conflict', `account ${name} is not to be deleted any more`);
    const held = await holds(viewOf(marked.record)).catch(async (error: unknown) => {
      await this.#unmark(id, state);
      throw error;
    });
    if (held !== null) {
      await this.#unmark(id, state);
      throw new SkerryError('conflict', `account ${name} cannot be deleted: it has ${held}`);
    }
    const keys = await this.#keysOf(marked.record);
    const writes = keys.map((key) => ({ key, value: null }));
    const { outcome } = await catalog.transact([marked], writes).finally(onChanged);
    if (outcome === 'conflict')
      throw new SkerryError('conflict', `account ${name} was changed while it was being deleted: look at it`);
  }

  /** What its blocks are named and encrypted by. @throws SkerryError not-found, unavailable without an identity key, corrupt */
  async secrets(account: string | number): Promise<AccountSecrets> {
    const { record, key } = await this.entry(account);
    const secrets = this.#options.vault.unwrap(key, record.wrapped);
    if (secrets.length !== 2 * secret_bytes)
      throw new SkerryError('corrupt', `the secrets of account ${record.name} are too short`);
    return { domainKey: secrets.slice(0, secret_bytes), encryptionKey: secrets.slice(secret_bytes) };
  }

  /** For transactions that are decided on it: they compare its revision. @throws SkerryError not-found */
  async entry(account: string | number): Promise<AccountEntry> {
    const { catalog } = this.#options;
    let entry: CatalogEntry | null;
    if (typeof account === 'number') entry = await catalog.get(accountKey(account));
    else {
      const index = await catalog.get(accountNamePrefix + checkAccountName(account));
      entry = index === null ? null : await catalog.get(accountKey(decodeId(index.value)));
    }
    if (entry === null) throw new SkerryError('not-found', `there is no account ${account}`);
    return { record: decodeAccount(entry.value), key: entry.key, revision: entry.revision };
  }

  /** The same, of one that something may come to be in. @throws SkerryError not-found, conflict while it is being deleted */
  async livingEntry(account: string | number): Promise<AccountEntry> {
    const entry = await this.entry(account);
    if (entry.record.state === 'deleting') throw new SkerryError('conflict', `account ${entry.record.name} is being deleted`);
    return entry;
  }

  /** @throws SkerryError not-found; what `change` throws */
  async change(account: string | number, change: (record: AccountRecord) => AccountRecord): Promise<Account> {
    return this.#changed(async () => {
      const entry = await this.entry(account);
      const record = change(entry.record);
      return { compares: [entry], writes: [{ key: entry.key, value: encodeAccount(record) }], result: viewOf(record) };
    });
  }

  async #unmark(id: number, before: AccountState): Promise<void> {
    await this.change(id, (record) => ({ ...record, state: before === 'suspended' ? before : 'active' }));
  }

  async #changed<T>(decide: () => Promise<Decision<T>>): Promise<T> {
    // Also where it failed: it may have been made all the same.
    return decided(this.#options.catalog, decide).finally(this.#options.onChanged);
  }

  async #byIndex(prefix: string, name: string | null): Promise<Account | null> {
    const { catalog } = this.#options;
    const index = name === null ? null : await catalog.get(prefix + name);
    const entry = index === null ? null : await catalog.get(accountKey(decodeId(index.value)));
    return entry === null ? null : viewOf(decodeAccount(entry.value));
  }

  /** All that the catalog has of it but what it used. */
  async #keysOf({ id, name, accountNumber, canonicalId }: AccountRecord): Promise<string[]> {
    const { catalog } = this.#options;
    const own = [
      accountKey(id),
      accountNamePrefix + name,
      accountNumberPrefix + accountNumber,
      canonicalIdPrefix + hexOf(canonicalId),
    ];
    const index = await catalog.range(keysOfAccountPrefix(id));
    const accessKeys = index.map(({ key }) => key.slice(key.lastIndexOf('/') + 1));
    const below = [usersPrefix(id), bucketQuotasPrefix(id), countedOfAccountPrefix(id)];
    const ranges = await Promise.all(below.map((prefix) => catalog.range(prefix)));
    return [
      ...own,
      ...index.map(({ key }) => key),
      ...accessKeys.flatMap((accessKey) => [accessKeyKey(accessKey), keyUseKey(accessKey)]),
      ...ranges.flat().map(({ key }) => key),
    ];
  }
}

export function viewOf(record: AccountRecord): Account {
  const { wrapped: _, canonicalId, ...rest } = record;
  return { ...rest, canonicalId: hexOf(canonicalId) };
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** @throws SkerryError invalid */
function checkDisplayName(text: string): string {
  if (text === '' || text.length > display_name_characters_max)
    throw new SkerryError(
      'invalid',
      `a display name has 1 to ${display_name_characters_max} characters, this one ${text.length}`,
    );
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text))
    throw new SkerryError('invalid', 'a display name is one line without control characters');
  return text;
}
