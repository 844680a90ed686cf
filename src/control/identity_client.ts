/** The part of the client library that is about accounts: one method per verb, as in client.ts. */
import type { RouteName } from '../api/routes.js';
import type {
  AccountView,
  Answer,
  CreateAccountRequest,
  GoneView,
  KeyView,
  NewKeyView,
  Parts,
  QuotaView,
  SetAccountRequest,
  SetQuotaRequest,
  UsageView,
  UserView,
} from '../api/shapes.js';
import { allPages } from './pages.js';

export type Call = <R extends RouteName>(route: R, parts: Parts<R>) => Promise<Answer<R>>;

export class IdentityClient {
  readonly #call: Call;

  constructor(call: Call) {
    this.#call = call;
  }

  /** All of them, page by page. */
  accounts(): Promise<AccountView[]> {
    return allPages(async (query) => {
      const { accounts, next } = await this.#call('accountList', { query });
      return { found: accounts, next };
    });
  }

  createAccount(request: CreateAccountRequest): Promise<AccountView> {
    return this.#call('accountCreate', { body: request });
  }

  account(name: string): Promise<AccountView> {
    return this.#call('accountGet', { params: { name } });
  }

  /** What is not named stays. */
  setAccount(name: string, settings: SetAccountRequest): Promise<AccountView> {
    return this.#call('accountSet', { params: { name }, body: settings });
  }

  renameAccount(name: string, to: string): Promise<AccountView> {
    return this.#call('accountRename', { params: { name }, body: { name: to } });
  }

  /** With its users and keys; refused while it holds anything. */
  deleteAccount(name: string): Promise<GoneView> {
    return this.#call('accountDelete', { params: { name } });
  }

  async users(account: string): Promise<UserView[]> {
    return (await this.#call('userList', { params: { name: account } })).users;
  }

  createUser(account: string, name: string): Promise<UserView> {
    return this.#call('userCreate', { params: { name: account }, body: { name } });
  }

  /** With its keys. */
  deleteUser(account: string, user: string): Promise<GoneView> {
    return this.#call('userDelete', { params: { name: account, user } });
  }

  async keys(account: string): Promise<KeyView[]> {
    return (await this.#call('keyList', { params: { name: account } })).keys;
  }

  /** Of the root user where none is named. The secret is told this once. */
  createKey(account: string, user?: string): Promise<NewKeyView> {
    return this.#call('keyCreate', { params: { name: account }, body: user === undefined ? {} : { user } });
  }

  setKeyActive(accessKey: string, active: boolean): Promise<KeyView> {
    return this.#call('keySet', { params: { key: accessKey }, body: { active } });
  }

  /** A new key for the same user, and this one revoked. The secret is told this once. */
  rotateKey(accessKey: string): Promise<NewKeyView> {
    return this.#call('keyRotate', { params: { key: accessKey } });
  }

  revokeKey(accessKey: string): Promise<GoneView> {
    return this.#call('keyRevoke', { params: { key: accessKey } });
  }

  quota(account: string): Promise<QuotaView> {
    return this.#call('quotaGet', { params: { name: account } });
  }

  /** What is not named stays; 0: no limit. */
  setQuota(account: string, request: SetQuotaRequest): Promise<QuotaView> {
    return this.#call('quotaSet', { params: { name: account }, body: request });
  }

  /** Hours that begin from `from` on and before `to`, both ISO 8601 in UTC; of one bucket, or of all. */
  async usage(
    account: string,
    window: { readonly from: string; readonly to: string; readonly bucket?: string },
  ): Promise<UsageView> {
    const slices: UsageView['slices'] = [];
    for (let from = window.from; ; ) {
      const { next, ...part } = await this.#call('usageGet', { params: { name: account }, query: { ...window, from } });
      slices.push(...part.slices);
      if (next === null) return { ...part, from: new Date(window.from).toISOString(), slices };
      from = next;
    }
  }
}
