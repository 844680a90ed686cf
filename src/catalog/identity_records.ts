/**
 * What the catalog knows of those who store objects: accounts, their users, and the keys that these sign with
 * (docs/formats/catalog.md). Secrets stand here wrapped only, under a key that is not in the catalog (src/identity/vault.ts).
 */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { decode, encode, exact, number, record_version, type Fields } from './records.js';

/** suspended: nobody gets in. deleting: nothing comes to be in it any more; what was begun is finished by asking again. */
export const accountStates = ['active', 'suspended', 'deleting'] as const;
export type AccountState = (typeof accountStates)[number];

/** 0 where there is no limit. */
export interface QuotaRecord {
  readonly bytes: number;
  readonly objects: number;
}

export const noQuota: QuotaRecord = { bytes: 0, objects: 0 };

export interface AccountRecord {
  /** Never reused. */
  readonly id: number;
  readonly name: string;
  readonly displayName: string;
  /** 32 bytes: who an owner or a grantee is, for ever. */
  readonly canonicalId: Uint8Array;
  /** 12 digits. */
  readonly accountNumber: string;
  /** Of deduplication; never that of a pool. */
  readonly domain: number;
  /** Its domain key and its encryption key. */
  readonly wrapped: Uint8Array;
  readonly state: AccountState;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly quota: QuotaRecord;
}

export interface UserRecord {
  readonly account: number;
  readonly name: string;
  /** 20 characters: another than that of an earlier user of this name. */
  readonly id: string;
  /** There from the first, and for as long as the account. */
  readonly root: boolean;
  readonly createdAt: number;
}

export interface AccessKeyRecord {
  readonly accessKey: string;
  readonly account: number;
  readonly user: string;
  readonly wrapped: Uint8Array;
  readonly active: boolean;
  readonly createdAt: number;
}

const schema = protobuf.Root.fromJSON({
  nested: {
    Quota: {
      fields: {
        bytes: { type: 'uint64', id: 1 },
        objects: { type: 'uint64', id: 2 },
      },
    },
    Account: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        name: { type: 'string', id: 3 },
        displayName: { type: 'string', id: 4 },
        canonicalId: { type: 'bytes', id: 5 },
        accountNumber: { type: 'string', id: 6 },
        domain: { type: 'uint64', id: 7 },
        wrapped: { type: 'bytes', id: 8 },
        state: { type: 'uint32', id: 9 },
        createdAt: { type: 'uint64', id: 10 },
        quota: { type: 'Quota', id: 11 },
      },
    },
    User: {
      fields: {
        version: { type: 'uint32', id: 1 },
        account: { type: 'uint64', id: 2 },
        name: { type: 'string', id: 3 },
        id: { type: 'string', id: 4 },
        root: { type: 'bool', id: 5 },
        createdAt: { type: 'uint64', id: 6 },
      },
    },
    AccessKey: {
      fields: {
        version: { type: 'uint32', id: 1 },
        accessKey: { type: 'string', id: 2 },
        account: { type: 'uint64', id: 3 },
        user: { type: 'string', id: 4 },
        wrapped: { type: 'bytes', id: 5 },
        active: { type: 'bool', id: 6 },
        createdAt: { type: 'uint64', id: 7 },
      },
    },
    KeyUse: {
      fields: {
        version: { type: 'uint32', id: 1 },
        lastUsedAt: { type: 'uint64', id: 2 },
      },
    },
    BucketQuota: {
      fields: {
        version: { type: 'uint32', id: 1 },
        account: { type: 'uint64', id: 2 },
        bucket: { type: 'string', id: 3 },
        quota: { type: 'Quota', id: 4 },
      },
    },
    IdentityCheck: {
      fields: {
        version: { type: 'uint32', id: 1 },
        wrapped: { type: 'bytes', id: 2 },
      },
    },
  },
});

const accountType = schema.lookupType('Account');
const userType = schema.lookupType('User');
const accessKeyType = schema.lookupType('AccessKey');
const keyUseType = schema.lookupType('KeyUse');
const bucketQuotaType = schema.lookupType('BucketQuota');
const identityCheckType = schema.lookupType('IdentityCheck');

export function encodeAccount(record: AccountRecord): Uint8Array {
  for (const field of ['id', 'domain', 'createdAt'] as const) exact(record[field], field);
  if (record.id === 0 || record.domain === 0) throw new RangeError('an account has an id and a domain');
  if (record.canonicalId.length !== 32) throw new RangeError('a canonical id has 32 bytes');
  if (!/^\d{12}$/.test(record.accountNumber)) throw new RangeError('an account number has 12 digits');
  return encode(accountType, {
    ...record,
    version: record_version,
    state: number(accountStates, record.state),
    quota: exactQuota(record.quota),
  });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeAccount(data: Uint8Array): AccountRecord {
  const fields = decode(accountType, data, 'account');
  const record: AccountRecord = {
    id: fields.number('id'),
    name: fields.text('name'),
    displayName: fields.text('displayName'),
    canonicalId: fields.bytes('canonicalId'),
    accountNumber: fields.text('accountNumber'),
    domain: fields.number('domain'),
    wrapped: fields.bytes('wrapped'),
    state: fields.choice('state', accountStates),
    createdAt: fields.number('createdAt'),
    quota: quotaOf(fields.optional('quota')),
  };
  const broken = record.id === 0 || record.domain === 0 || record.canonicalId.length !== 32;
  if (broken || !/^\d{12}$/.test(record.accountNumber))
    throw new SkerryError('corrupt', `the record of account ${record.name} in the catalog lacks an id, a number or a domain`);
  return record;
}

export function encodeUser(record: UserRecord): Uint8Array {
  exact(record.account, 'account');
  return encode(userType, { ...record, version: record_version, createdAt: exact(record.createdAt, 'createdAt') });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeUser(data: Uint8Array): UserRecord {
  const fields = decode(userType, data, 'user');
  return {
    account: fields.number('account'),
    name: fields.text('name'),
    id: fields.text('id'),
    root: fields.flag('root'),
    createdAt: fields.number('createdAt'),
  };
}

export function encodeAccessKey(record: AccessKeyRecord): Uint8Array {
  exact(record.account, 'account');
  return encode(accessKeyType, { ...record, version: record_version, createdAt: exact(record.createdAt, 'createdAt') });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeAccessKey(data: Uint8Array): AccessKeyRecord {
  const fields = decode(accessKeyType, data, 'access key');
  return {
    accessKey: fields.text('accessKey'),
    account: fields.number('account'),
    user: fields.text('user'),
    wrapped: fields.bytes('wrapped'),
    active: fields.flag('active'),
    createdAt: fields.number('createdAt'),
  };
}

/** `lastUsedAt`: milliseconds since 1970. */
export function encodeKeyUse(lastUsedAt: number): Uint8Array {
  return encode(keyUseType, { version: record_version, lastUsedAt: exact(lastUsedAt, 'lastUsedAt') });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeKeyUse(data: Uint8Array): number {
  return decode(keyUseType, data, 'key use').number('lastUsedAt');
}

export interface BucketQuotaRecord {
  readonly account: number;
  readonly bucket: string;
  readonly quota: QuotaRecord;
}

export function encodeBucketQuota(record: BucketQuotaRecord): Uint8Array {
  exact(record.account, 'account');
  return encode(bucketQuotaType, { ...record, version: record_version, quota: exactQuota(record.quota) });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeBucketQuota(data: Uint8Array): BucketQuotaRecord {
  const fields = decode(bucketQuotaType, data, 'bucket quota');
  return { account: fields.number('account'), bucket: fields.text('bucket'), quota: quotaOf(fields.optional('quota')) };
}

export function encodeIdentityCheck(wrapped: Uint8Array): Uint8Array {
  return encode(identityCheckType, { version: record_version, wrapped });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeIdentityCheck(data: Uint8Array): Uint8Array {
  return decode(identityCheckType, data, 'identity check').bytes('wrapped');
}

function exactQuota({ bytes, objects }: QuotaRecord): QuotaRecord {
  return { bytes: exact(bytes, 'bytes'), objects: exact(objects, 'objects') };
}

function quotaOf(fields: Fields | null): QuotaRecord {
  return fields === null ? noQuota : { bytes: fields.number('bytes'), objects: fields.number('objects') };
}
