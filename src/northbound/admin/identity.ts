/** What the admin API tells of accounts, and does to them. */
import type { AccountView, GoneView, KeyView, QuotaView, UsageSliceView, UserView } from '../../api/shapes.js';
import { admin_page_resources_default } from '../../api/routes.js';
import type { QuotaRecord } from '../../catalog/identity_records.js';
import type { UsageSliceRecord } from '../../catalog/usage_records.js';
import { SkerryError } from '../../core/errors.js';
import type { AccessKey } from '../../identity/access_keys.js';
import type { Account } from '../../identity/accounts.js';
import type { Identity } from '../../identity/identity.js';
import type { Held } from '../../identity/reservation.js';
import { hour_milliseconds } from '../../identity/usage.js';
import type { Handlers } from './admin.js';

export type IdentitySource = Pick<Identity, 'accounts' | 'users' | 'keys' | 'quotas' | 'usage' | 'removeAccount'>;

/** Of one answer, and then to the end of their hour. */
const slices_max = 5000;

type AccountRoutes =
  | 'accountList'
  | 'accountCreate'
  | 'accountGet'
  | 'accountSet'
  | 'accountRename'
  | 'accountDelete'
  | 'quotaGet'
  | 'quotaSet'
  | 'usageGet';

export function accountHandlers(identity: IdentitySource): Pick<Handlers, AccountRoutes> {
  const { accounts, quotas, usage } = identity;
  const view = (account: Account): AccountView => accountAnswer(account, quotas.held(account.id));
  return {
    accountList: async ({ query: { limit = admin_page_resources_default, ...query } }) => {
      // One more than asked for tells whether there is more.
      const found = await accounts.list({ ...query, accountsMax: limit + 1 });
      const shown = found.slice(0, limit).map(view);
      return { accounts: shown, next: found.length > limit ? (shown.at(-1)?.name ?? null) : null };
    },
    accountCreate: async ({ body: { name, ...options } }) => view(await accounts.create(name, options)),
    accountGet: async ({ params }) => view(await accounts.get(params.name)),
    accountSet: async ({ params: { name }, body: { displayName, suspended } }) => {
      if (displayName !== undefined) await accounts.setDisplayName(name, displayName);
      if (suspended === true) await accounts.suspend(name);
      if (suspended === false) await accounts.resume(name);
      return view(await accounts.get(name));
    },
    accountRename: async ({ params, body }) => view(await accounts.rename(params.name, body.name)),
    accountDelete: async ({ params: { name } }) => {
      await identity.removeAccount(name);
      return gone('account', name);
    },
    quotaGet: async ({ params }) => quotaAnswer(identity, await accounts.get(params.name)),
    quotaSet: async ({ params, body: { bucket, ...limits } }) => {
      const account = await accounts.get(params.name);
      await quotas.setLimit(account.id, limits, bucket);
      return quotaAnswer(identity, account);
    },
    usageGet: async ({ params, query: { bucket, ...query } }) => {
      const account = await accounts.get(params.name);
      const [from, to] = [Date.parse(query.from), Date.parse(query.to)];
      if (to < from) throw new SkerryError('invalid', `${query.to} is before ${query.from}`);
      const { slices, next } = await usage.read(account.id, { from, to, slicesMax: slices_max });
      const wanted = bucket === undefined ? slices : slices.filter((slice) => slice.bucket === bucket);
      return {
        account: account.name,
        from: time(from),
        to: time(to),
        slices: wanted.map(sliceAnswer),
        next: next === null ? null : time(next),
      };
    },
  };
}

type KeyRoutes = 'userList' | 'userCreate' | 'userDelete' | 'keyList' | 'keyCreate' | 'keySet' | 'keyRotate' | 'keyRevoke';

export function keyHandlers({ accounts, users, keys }: IdentitySource): Pick<Handlers, KeyRoutes> {
  return {
    userList: async ({ params: { name } }) => ({ users: (await users.list(name)).map((user) => userAnswer(name, user)) }),
    userCreate: async ({ params: { name }, body }) => userAnswer(name, await users.create(name, body.name)),
    userDelete: async ({ params: { name, user } }) => {
      await users.remove(name, user);
      return gone('user', user);
    },
    keyList: async ({ params: { name } }) => ({ keys: (await keys.list(name)).map(keyAnswer) }),
    keyCreate: async ({ params: { name }, body }) => ({ ...(await keys.create((await accounts.get(name)).id, body.user)) }),
    keySet: async ({ params: { key }, body }) => keyAnswer(await keys.setActive(key, body.active)),
    keyRotate: async ({ params: { key } }) => ({ ...(await keys.rotate(key)) }),
    keyRevoke: async ({ params: { key } }) => {
      await keys.revoke(key);
      return gone('key', key);
    },
  };
}

function accountAnswer({ createdAt, quota, ...rest }: Account, held: Held): AccountView {
  return { ...rest, createdAt: time(createdAt), quota: { ...quota }, ...storedOf(held) };
}

function userAnswer(
  account: string,
  user: { readonly name: string; readonly id: string; readonly root: boolean; readonly createdAt: number },
): UserView {
  return { account, name: user.name, id: user.id, root: user.root, createdAt: time(user.createdAt) };
}

function keyAnswer({ accessKey, user, active, createdAt, lastUsedAt }: AccessKey): KeyView {
  return { accessKey, user, active, createdAt: time(createdAt), lastUsedAt: lastUsedAt === null ? null : time(lastUsedAt) };
}

function quotaAnswer({ quotas }: IdentitySource, { id, name }: Account): QuotaView {
  const held = quotas.held(id);
  return {
    account: name,
    quota: limitOf(quotas.limit(id)),
    ...storedOf(held),
    reservedBytes: held.reserved.bytes,
    reservedObjects: held.reserved.objects,
    buckets: quotas.buckets(id).map((one) => ({ bucket: one.bucket, quota: limitOf(one.quota), ...storedOf(one.held) })),
  };
}

function limitOf({ bytes, objects }: QuotaRecord): { bytes: number; objects: number } {
  return { bytes, objects };
}

function storedOf({ stored }: Held): { logicalBytes: number; objects: number } {
  return { logicalBytes: Math.max(stored.bytes, 0), objects: Math.max(stored.objects, 0) };
}

function sliceAnswer({ hour, bucket, cells, stored, uniqueBytes }: UsageSliceRecord): UsageSliceView {
  const sum = (of: 'requests' | 'bytesIn' | 'bytesOut', among = cells): number => among.reduce((all, cell) => all + cell[of], 0);
  return {
    from: time(hour),
    seconds: hour_milliseconds / 1000,
    bucket,
    requests: sum('requests'),
    errors: sum(
      'requests',
      cells.filter(({ status }) => status === '4xx' || status === '5xx'),
    ),
    bytesIn: sum('bytesIn'),
    bytesOut: sum('bytesOut'),
    cells: cells.map((cell) => ({ ...cell })),
    logicalBytes: stored?.bytes ?? null,
    objects: stored?.objects ?? null,
    uniqueBytes,
    logicalBytesMax: stored?.bytesMax ?? null,
    objectsMax: stored?.objectsMax ?? null,
  };
}

function gone(kind: GoneView['kind'], name: string): GoneView {
  return { kind, name, deleted: true };
}

function time(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
