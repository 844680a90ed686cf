/** What travels about accounts, their users and keys, what they may store and what they did. */
import { z } from 'zod';
import { byName, bytes, count, nameText, next, page, time } from './fields.js';

const limits = {
  bytes: bytes.describe('0: no limit.'),
  objects: count.describe('0: no limit.'),
};
const held = {
  logicalBytes: bytes.describe('Stored, as users see it.'),
  objects: count.describe('Stored.'),
};

export const accountView = z.strictObject({
  id: count.describe('Never reused, not even after the name is.'),
  name: z.string(),
  displayName: z.string(),
  canonicalId: z.string().describe('64 hexadecimal digits: who an owner or a grantee is.'),
  accountNumber: z.string().describe('12 digits, as in `arn:aws:iam::123456789012:root`.'),
  domain: count.describe('Of deduplication: what the account stores shares blocks with nothing that others store.'),
  state: z.enum(['active', 'suspended', 'deleting']).describe('Only of an active one keys open anything.'),
  createdAt: time,
  quota: z.strictObject(limits),
  ...held,
});
export type AccountView = z.infer<typeof accountView>;

export const userView = z.strictObject({
  account: z.string(),
  name: z.string(),
  id: z.string().describe('20 characters: another than that of an earlier user of this name.'),
  root: z.boolean().describe('There for as long as the account.'),
  createdAt: time,
});
export type UserView = z.infer<typeof userView>;

export const keyView = z.strictObject({
  accessKey: z.string(),
  user: z.string(),
  active: z.boolean().describe('One that is not opens nothing.'),
  createdAt: time,
  lastUsedAt: time.nullable().describe('As of a minute ago; null: never.'),
});
export type KeyView = z.infer<typeof keyView>;

/** Shown once: the secret cannot be asked for again. */
export const newKeyView = z.strictObject({ accessKey: z.string(), secretKey: z.string() });
export type NewKeyView = z.infer<typeof newKeyView>;

export const goneView = z.strictObject({
  kind: z.enum(['account', 'user', 'key', 'publication']),
  name: z.string(),
  deleted: z.literal(true),
});
export type GoneView = z.infer<typeof goneView>;

export const createAccountRequest = z.strictObject({ name: nameText, displayName: z.string().exactOptional() });
export type CreateAccountRequest = z.infer<typeof createAccountRequest>;

/** What is not named stays. */
export const setAccountRequest = z.strictObject({
  displayName: z.string().exactOptional(),
  suspended: z.boolean().exactOptional().describe('False also takes back a deletion that was begun and not finished.'),
});
export type SetAccountRequest = z.infer<typeof setAccountRequest>;

/** Of `bucket`, else of the account. What is not named stays. */
export const setQuotaRequest = z.strictObject({
  bucket: nameText.exactOptional(),
  bytes: limits.bytes.exactOptional(),
  objects: limits.objects.exactOptional(),
});
export type SetQuotaRequest = z.infer<typeof setQuotaRequest>;

export const quotaView = z.strictObject({
  account: z.string(),
  quota: z.strictObject(limits),
  ...held,
  reservedBytes: bytes.describe('On their way into it.'),
  reservedObjects: count.describe('On their way into it.'),
  buckets: z
    .array(z.strictObject({ bucket: z.string(), quota: z.strictObject(limits), ...held }))
    .describe('Those that hold something or have a limit of their own; by name.'),
});
export type QuotaView = z.infer<typeof quotaView>;

const usageCell = z.strictObject({
  operation: z.enum(['read', 'write', 'delete', 'list', 'other']),
  status: z.enum(['2xx', '3xx', '4xx', '5xx', 'aborted']).describe('aborted: the client was gone before its answer was.'),
  requests: count,
  bytesIn: bytes,
  bytesOut: bytes,
});

export const usageView = z.strictObject({
  account: z.string(),
  from: time,
  to: time,
  slices: z.array(
    z.strictObject({
      from: time,
      seconds: count.describe('That it covers: an hour, where nothing was added up.'),
      bucket: z.string().describe('Empty for requests that are about none.'),
      requests: count,
      errors: count.describe('Of them, those that ended with 4xx or 5xx.'),
      bytesIn: bytes,
      bytesOut: bytes,
      cells: z.array(usageCell),
      logicalBytes: bytes.nullable().describe('Stored at the end; null: nobody looked.'),
      objects: count.nullable().describe('Stored at the end.'),
      uniqueBytes: bytes
        .nullable()
        .describe('Of distinct blocks, which all buckets of an account share: where the bucket is empty, and they were counted.'),
      logicalBytesMax: bytes.nullable().describe('At most, of what was seen each minute.'),
      objectsMax: count.nullable(),
    }),
  ),
});
export type UsageView = z.infer<typeof usageView>;
export type UsageSliceView = UsageView['slices'][number];

const byKey = z.strictObject({ key: nameText });

/** Part of `shapes`, in a file of its own. */
export const identityShapes = {
  accountList: { query: z.strictObject(page), answer: z.strictObject({ accounts: z.array(accountView), next }) },
  accountCreate: { body: createAccountRequest, answer: accountView },
  accountGet: { params: byName, answer: accountView },
  accountSet: { params: byName, body: setAccountRequest, answer: accountView },
  accountRename: { params: byName, body: z.strictObject({ name: nameText.describe('The new one.') }), answer: accountView },
  accountDelete: { params: byName, answer: goneView },
  userList: { params: byName, answer: z.strictObject({ users: z.array(userView) }) },
  userCreate: { params: byName, body: z.strictObject({ name: nameText }), answer: userView },
  userDelete: { params: z.strictObject({ name: nameText, user: nameText }), answer: goneView },
  keyList: { params: byName, answer: z.strictObject({ keys: z.array(keyView) }) },
  keyCreate: {
    params: byName,
    body: z.strictObject({ user: nameText.exactOptional().describe('Else the root user.') }),
    answer: newKeyView,
  },
  keySet: { params: byKey, body: z.strictObject({ active: z.boolean() }), answer: keyView },
  keyRotate: { params: byKey, answer: newKeyView },
  keyRevoke: { params: byKey, answer: goneView },
  quotaGet: { params: byName, answer: quotaView },
  quotaSet: { params: byName, body: setQuotaRequest, answer: quotaView },
  usageGet: {
    params: byName,
    query: z.strictObject({ from: time, to: time, bucket: nameText.exactOptional() }),
    answer: usageView.extend({ next: time.nullable().describe('Where to go on asking from; null at the end.') }),
  },
} as const;
