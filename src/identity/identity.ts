/**
 * Identity: who may come in, how much they may store, and how much they did. Shared by all that serves objects and machines;
 * no protocol is known here.
 */
import type { Catalog } from '../catalog/catalog.js';
import { AccessKeys } from './access_keys.js';
import { Accounts, type Account } from './accounts.js';
import { Quotas } from './quotas.js';
import { Usage } from './usage.js';
import { Users } from './users.js';
import { openVault, type Vault } from './vault.js';

/** Of what is noted in memory: uses of keys, and usage. */
const flush_milliseconds = 60_000;

export interface IdentityOptions {
  readonly catalog: Catalog;
  /** Of the identity key. */
  readonly dataDirectory: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What is in an account, in words, for the refusal of its deletion; null: nothing. */
  readonly holds: (account: Account) => Promise<string | null>;
  readonly usageDays: number;
  readonly log: (level: 'error', message: string, fields: Readonly<Record<string, unknown>>) => void;
}

interface Parts {
  readonly vault: Vault;
  readonly accounts: Accounts;
  readonly users: Users;
  readonly keys: AccessKeys;
  readonly quotas: Quotas;
  readonly usage: Usage;
}

export class Identity {
  readonly #options: IdentityOptions;
  readonly #vault: Vault;
  readonly accounts: Accounts;
  readonly users: Users;
  readonly keys: AccessKeys;
  readonly quotas: Quotas;
  readonly usage: Usage;
  #timer: NodeJS.Timeout | null = null;
  #flushing: Promise<void> = Promise.resolve();

  private constructor(options: IdentityOptions, { vault, accounts, users, keys, quotas, usage }: Parts) {
    this.#options = options;
    this.#vault = vault;
    this.accounts = accounts;
    this.users = users;
    this.keys = keys;
    this.quotas = quotas;
    this.usage = usage;
  }

  /** @throws SkerryError of the catalog; where the identity key cannot be made */
  static async open(options: IdentityOptions): Promise<Identity> {
    const { catalog, dataDirectory, now, holds, usageDays } = options;
    const vault = await openVault(catalog, dataDirectory);
    const onChanged = (): void => keys.forgetAll();
    const accounts: Accounts = new Accounts({
      catalog,
      vault,
      now,
      onChanged,
      holds: async (account) => heldBy(quotas, account) ?? (await holds(account)),
    });
    const users: Users = new Users({ catalog, accounts, now, onChanged });
    const keys: AccessKeys = new AccessKeys({ catalog, vault, accounts, users, now });
    const quotas: Quotas = await Quotas.open({ catalog, accounts });
    const usage = await Usage.open({ catalog, now, stored: () => quotas.stored(), days: usageDays });
    return new Identity(options, { vault, accounts, users, keys, quotas, usage });
  }

  /** Why no secret can be used, in a sentence that says what to do; null: they can. */
  get problem(): string | null {
    return this.#vault.problem;
  }

  /** From here on what is noted is written by itself. */
  start(): void {
    this.#timer ??= setInterval(() => void this.flush().catch(() => undefined), flush_milliseconds).unref();
  }

  /** Writes what was noted in memory. @throws SkerryError of the catalog; the next one writes it then */
  flush(): Promise<void> {
    this.#flushing = this.#flushing
      .catch(() => undefined)
      .then(async () => {
        try {
          await this.usage.flush();
          await this.keys.flush();
        } catch (error) {
          this.#options.log('error', 'usage and uses of keys are not written; the next attempt is in a minute', {
            error: String(error),
          });
          throw error;
        }
      });
    return this.#flushing;
  }

  /** Idempotent. */
  async stop(): Promise<void> {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.flush().finally(() => this.keys.close());
  }

  /** An account with all that is its own. @throws SkerryError conflict where something is in it, not-found */
  async removeAccount(name: string): Promise<void> {
    const { id } = await this.accounts.get(name);
    await this.accounts.remove(name);
    this.quotas.forget(id);
  }
}

function heldBy(quotas: Quotas, { id }: Account): string | null {
  const { stored, reserved } = quotas.held(id);
  const objects = stored.objects + reserved.objects;
  return objects > 0 || stored.bytes + reserved.bytes > 0 ? `${objects} objects` : null;
}
