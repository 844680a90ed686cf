/**
 * What the catalog holds, as protobuf records (docs/formats/catalog.md). Every record begins with its version; one that a
 * newer Skerry wrote is refused, never half understood. Golden files in test/unit/catalog/golden hold the bytes fixed.
 */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { accessFields, accessMessage, accessOf, grantMessage, type AccessRecord } from './access_record.js';
import { logFields, logMessage, logOf, olderLogMessage, type LogRecord } from './log_record.js';
import { written } from './record_writer.js';

export const record_version = 1;
/** Of a shelf, and of a volume that flushes to its pool: a Skerry that knows neither must not serve them. */
export const special_resource_version = 2;
/** Of one whose blocks have a domain of their own: a Skerry that knows of none would put them in its pool's. */
export const domain_resource_version = 3;
/** Of a pool whose packs may hold compressed records: a Skerry that cannot read those must not open it. */
export const framed_pool_version = 2;
/** Of a pool that is encrypted: likewise. */
export const encrypted_pool_version = 3;

export const resourceKinds = ['volume', 'snapshot', 'image'] as const;
export type ResourceKind = (typeof resourceKinds)[number];

/** importing: an image whose content is not whole yet. deleting: nameless, waiting until nothing pends on it. */
export const resourceStates = ['ready', 'importing', 'deleting'] as const;
export type ResourceState = (typeof resourceStates)[number];

export const durabilities = ['local', 'pool'] as const;
export type Durability = (typeof durabilities)[number];

export const cacheModes = ['writeback', 'writethrough'] as const;
export type CacheMode = (typeof cacheModes)[number];

/** A committed tree: its id (32 bytes, or none for an empty tree), its height, and where its top node was last seen. */
export interface RootRecord {
  readonly id: Uint8Array;
  readonly levels: number;
  readonly pack: number;
  readonly offset: number;
  readonly storedBytes: number;
}

export interface ResourceRecord {
  /** Never reused. */
  readonly id: number;
  readonly kind: ResourceKind;
  /** VOL, VOL@SNAP or an image's; '' for one without a name (an anchor of a clone, or a name given up by a deletion). */
  readonly name: string;
  readonly pool: string;
  /** Of `root`: the journal may hold a resize that is newer. */
  readonly sizeBytes: number;
  readonly state: ResourceState;
  readonly durability: Durability;
  readonly cache: CacheMode;
  readonly description: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  /** What it was cloned or taken from; 0 and '' where it began empty. The name is as of then. */
  readonly parentId: number;
  readonly parentName: string;
  readonly root: RootRecord;
  /** Last write that `root` holds. */
  readonly appliedSequence: number;
  readonly fence: number;
  /** Id of what its root is still to come from: a snapshot's volume, a clone's snapshot. 0: `root` is its content. */
  readonly pendingOf: number;
  /** Grows with each rollback: a root of an older lineage is not taken any more. */
  readonly lineage: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly limit: LimitRecord;
  /** Who may attach it and its snapshots; null: whoever can connect. */
  readonly access: AccessRecord | null;
  /** Of blocks that are written from now on: `inherit` is the pool's (src/core/compression.ts). */
  readonly compression: string;
  /** Of a volume with durability `pool`; else null. */
  readonly log: LogRecord | null;
  /** A volume that nobody sees: bodies of objects lie in it. Its name is of names of its own. */
  readonly shelf?: boolean;
  /** Of its blocks. Absent: its pool's own (docs/decisions/0076-a-domain-for-each-account.md). */
  readonly domain?: number;
}

/** What a volume's connections may use together; 0 where there is no limit. */
export interface LimitRecord {
  /** Requests a second. */
  readonly iops: number;
  /** Bytes a second. */
  readonly bandwidth: number;
  /** Seconds of either that a volume which rested may use at once. */
  readonly burst: number;
}

export interface PoolRecord {
  readonly name: string;
  readonly driver: string;
  /** As the driver's schema checks them. */
  readonly settings: Readonly<Record<string, string>>;
  readonly domain: number;
  readonly keyId: number;
  /** 32 bytes, secret; none where the pool is encrypted: then it is among what is wrapped. */
  readonly domainKey: Uint8Array;
  /** 16 bytes, made with the pool; its chunks carry them. */
  readonly poolUuid: Uint8Array;
  readonly createdAt: number;
  /** Of blocks that are written from now on (src/core/compression.ts). */
  readonly compression: string;
  /** Its packs may hold compressed records, whatever is written now. Never taken back. */
  readonly framed: boolean;
  /** null: the pool is not encrypted. For ever what it was at the beginning. */
  readonly encryption: EncryptionRecord | null;
}

export const keySources = ['file', 'command'] as const;

export interface EncryptionRecord {
  /** The pool's secrets, under a key that is not here (src/pool/pool_secrets.ts). */
  readonly wrapped: Uint8Array;
  /** Where that key comes from (src/pool/key_source.ts). */
  readonly source: { readonly kind: (typeof keySources)[number]; readonly from: string };
}

export interface CounterRecord {
  /** The next value to hand out. */
  readonly next: number;
}

export const noLimit: LimitRecord = { iops: 0, bandwidth: 0, burst: 0 };

export const emptyRoot: RootRecord = { id: new Uint8Array(0), levels: 0, pack: 0, offset: 0, storedBytes: 0 };

/** Of every record that has roots. */
export const rootMessage: protobuf.IType = {
  fields: {
    id: { type: 'bytes', id: 1 },
    levels: { type: 'uint32', id: 2 },
    pack: { type: 'uint64', id: 3 },
    offset: { type: 'uint64', id: 4 },
    storedBytes: { type: 'uint64', id: 5 },
  },
};

// The schema is code, not reflection over a file, so that what ships is what was type-checked. Field numbers are for ever.
const schema = protobuf.Root.fromJSON({
  nested: {
    Root: rootMessage,
    Resource: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        kind: { type: 'uint32', id: 3 },
        name: { type: 'string', id: 4 },
        pool: { type: 'string', id: 5 },
        sizeBytes: { type: 'uint64', id: 6 },
        state: { type: 'uint32', id: 7 },
        durability: { type: 'uint32', id: 8 },
        cache: { type: 'uint32', id: 9 },
        description: { type: 'string', id: 10 },
        createdAt: { type: 'uint64', id: 11 },
        parentId: { type: 'uint64', id: 12 },
        parentName: { type: 'string', id: 13 },
        root: { type: 'Root', id: 14 },
        appliedSequence: { type: 'uint64', id: 15 },
        fence: { type: 'uint64', id: 16 },
        pendingOf: { type: 'uint64', id: 17 },
        lineage: { type: 'uint64', id: 18 },
        labels: { keyType: 'string', type: 'string', id: 19 } as protobuf.IMapField,
        limit: { type: 'Limit', id: 20 },
        access: { type: 'Access', id: 21 },
        compression: { type: 'string', id: 22 },
        log: { type: 'Log', id: 23 },
        shelf: { type: 'bool', id: 24 },
        domain: { type: 'uint64', id: 25 },
      },
    },
    Log: logMessage,
    OlderLog: olderLogMessage,
    Access: accessMessage,
    Grant: grantMessage,
    Limit: {
      fields: {
        iops: { type: 'uint64', id: 1 },
        bandwidth: { type: 'uint64', id: 2 },
        burst: { type: 'uint64', id: 3 },
      },
    },
    Pool: {
      fields: {
        version: { type: 'uint32', id: 1 },
        name: { type: 'string', id: 2 },
        driver: { type: 'string', id: 3 },
        settings: { keyType: 'string', type: 'string', id: 4 } as protobuf.IMapField,
        domain: { type: 'uint32', id: 5 },
        keyId: { type: 'uint32', id: 6 },
        domainKey: { type: 'bytes', id: 7 },
        poolUuid: { type: 'bytes', id: 8 },
        createdAt: { type: 'uint64', id: 9 },
        compression: { type: 'string', id: 10 },
        framed: { type: 'bool', id: 11 },
        encryption: { type: 'Encryption', id: 12 },
      },
    },
    Encryption: {
      fields: {
        wrapped: { type: 'bytes', id: 1 },
        source: { type: 'uint32', id: 2 },
        from: { type: 'string', id: 3 },
      },
    },
    Counter: {
      fields: {
        version: { type: 'uint32', id: 1 },
        next: { type: 'uint64', id: 2 },
      },
    },
  },
});

const resourceType = schema.lookupType('Resource');
const poolType = schema.lookupType('Pool');
const counterType = schema.lookupType('Counter');

export function encodeResource(record: ResourceRecord): Uint8Array {
  for (const field of ['sizeBytes', 'createdAt', 'parentId', 'appliedSequence', 'fence', 'pendingOf', 'lineage'] as const)
    exact(record[field], field);
  if (record.id <= 0) throw new RangeError(`${record.id} is no resource id`);
  if (record.root.id.length !== 0 && record.root.id.length !== 32) throw new RangeError('a root id has 32 bytes or none');
  const { lineage, labels, limit, access, compression, shelf, log, domain, ...fields } = record;
  return encode(resourceType, {
    ...fields,
    // Later than the first fields: left out where they say nothing, so that such a record reads as it always did.
    ...(lineage === 0 ? {} : { lineage }),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
    ...(limit.iops === 0 && limit.bandwidth === 0 ? {} : { limit: exactLimit(limit) }),
    ...(access === null ? {} : { access: accessFields(access) }),
    ...(compression === 'inherit' ? {} : { compression }),
    ...(shelf === true ? { shelf } : {}),
    ...(log === null ? {} : { log: logFields(log) }),
    ...(domain === undefined ? {} : { domain: exactDomain(domain) }),
    version: resourceVersion(record),
    id: exact(record.id, 'id'),
    kind: number(resourceKinds, record.kind),
    state: number(resourceStates, record.state),
    durability: number(durabilities, record.durability),
    cache: number(cacheModes, record.cache),
    root: { ...record.root, pack: exact(record.root.pack, 'pack'), offset: exact(record.root.offset, 'offset') },
  });
}

function resourceVersion({ shelf, log, domain }: ResourceRecord): number {
  if (domain !== undefined) return domain_resource_version;
  return shelf === true || log !== null ? special_resource_version : record_version;
}

/** 0 on the wire is none. */
function exactDomain(domain: number): number {
  if (domain === 0) throw new RangeError('a domain counts from 1');
  return exact(domain, 'domain');
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeResource(data: Uint8Array): ResourceRecord {
  const fields = decode(resourceType, data, 'resource', domain_resource_version);
  const root = fields.message('root');
  const domain = fields.number('domain');
  const record: ResourceRecord = {
    id: fields.number('id'),
    kind: fields.choice('kind', resourceKinds),
    name: fields.text('name'),
    pool: fields.text('pool'),
    sizeBytes: fields.number('sizeBytes'),
    state: fields.choice('state', resourceStates),
    durability: fields.choice('durability', durabilities),
    cache: fields.choice('cache', cacheModes),
    description: fields.text('description'),
    createdAt: fields.number('createdAt'),
    parentId: fields.number('parentId'),
    parentName: fields.text('parentName'),
    root: {
      id: root.bytes('id'),
      levels: root.number('levels'),
      pack: root.number('pack'),
      offset: root.number('offset'),
      storedBytes: root.number('storedBytes'),
    },
    appliedSequence: fields.number('appliedSequence'),
    fence: fields.number('fence'),
    pendingOf: fields.number('pendingOf'),
    lineage: fields.number('lineage'),
    labels: fields.map('labels'),
    limit: limitOf(fields.optional('limit')),
    access: accessOf(fields.optional('access')),
    compression: fields.text('compression') || 'inherit',
    log: logOf(fields.optional('log')),
    ...(fields.flag('shelf') ? { shelf: true } : {}),
    ...(domain === 0 ? {} : { domain }),
  };
  if (record.id === 0) throw new SkerryError('corrupt', 'a resource record of the catalog has no id');
  if (record.root.id.length !== 0 && record.root.id.length !== 32) {
    throw new SkerryError(
      'corrupt',
      `the root id of resource ${record.id} in the catalog has ${record.root.id.length} bytes, not 32`,
    );
  }
  return record;
}

function exactLimit({ iops, bandwidth, burst }: LimitRecord): LimitRecord {
  return { iops: exact(iops, 'iops'), bandwidth: exact(bandwidth, 'bandwidth'), burst: exact(burst, 'burst') };
}

function limitOf(fields: Fields | null): LimitRecord {
  if (fields === null) return noLimit;
  return { iops: fields.number('iops'), bandwidth: fields.number('bandwidth'), burst: fields.number('burst') };
}

export function encodePool(record: PoolRecord): Uint8Array {
  const { compression, framed, encryption, ...fields } = record;
  if (record.domainKey.length !== (encryption === null ? 32 : 0))
    throw new RangeError('a domain key has 32 bytes, and stands in the record only where the pool is not encrypted');
  if (record.poolUuid.length !== 16) throw new RangeError('a pool uuid has 16 bytes');
  if (!framed && compression !== 'none') throw new RangeError('a pool that compresses may hold compressed records');
  return encode(poolType, {
    ...fields,
    ...(compression === 'none' ? {} : { compression }),
    ...(framed ? { framed } : {}),
    ...(encryption === null ? {} : { encryption: numberedEncryption(encryption) }),
    version: encryption !== null ? encrypted_pool_version : framed ? framed_pool_version : record_version,
    createdAt: exact(record.createdAt, 'createdAt'),
  });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodePool(data: Uint8Array): PoolRecord {
  const fields = decode(poolType, data, 'pool', encrypted_pool_version);
  const record: PoolRecord = {
    name: fields.text('name'),
    driver: fields.text('driver'),
    settings: fields.map('settings'),
    domain: fields.number('domain'),
    keyId: fields.number('keyId'),
    domainKey: fields.bytes('domainKey'),
    poolUuid: fields.bytes('poolUuid'),
    createdAt: fields.number('createdAt'),
    compression: fields.text('compression') || 'none',
    framed: fields.flag('framed'),
    encryption: encryptionOf(fields.optional('encryption')),
  };
  const key_bytes = record.encryption === null ? 32 : 0;
  if (record.domainKey.length !== key_bytes)
    throw new SkerryError(
      'corrupt',
      `the domain key of pool ${record.name} in the catalog has ${record.domainKey.length} bytes, not ${key_bytes}`,
    );
  if (record.poolUuid.length !== 16)
    throw new SkerryError(
      'corrupt',
      `the uuid of pool ${record.name} in the catalog has ${record.poolUuid.length} bytes, not 16`,
    );
  if (!record.framed && record.compression !== 'none')
    throw new SkerryError('corrupt', `pool ${record.name} compresses, and the catalog says that it holds nothing compressed`);
  return record;
}

function numberedEncryption({ wrapped, source }: EncryptionRecord): Record<string, unknown> {
  return { wrapped, source: number(keySources, source.kind), from: source.from };
}

function encryptionOf(fields: Fields | null): EncryptionRecord | null {
  if (fields === null) return null;
  return { wrapped: fields.bytes('wrapped'), source: { kind: fields.choice('source', keySources), from: fields.text('from') } };
}

export function encodeCounter(record: CounterRecord): Uint8Array {
  return encode(counterType, { version: record_version, next: exact(record.next, 'next') });
}

/** @throws SkerryError corrupt, or unsupported for a newer version. */
export function decodeCounter(data: Uint8Array): CounterRecord {
  return { next: decode(counterType, data, 'counter').number('next') };
}

export function encode(type: protobuf.Type, fields: Record<string, unknown>): Uint8Array {
  return written(type, fields);
}

export function decode(type: protobuf.Type, data: Uint8Array, what: string, version_max = record_version): Fields {
  let fields: Fields;
  try {
    fields = new Fields(type.toObject(type.decode(data), { longs: Number, defaults: true, objects: true }), what);
  } catch (cause) {
    throw new SkerryError('corrupt', `a ${what} record of the catalog cannot be read`, { cause });
  }
  const version = fields.number('version');
  if (version === 0) throw new SkerryError('corrupt', `a ${what} record of the catalog has no version`);
  if (version > version_max) {
    throw new SkerryError(
      'unsupported',
      `a ${what} record of the catalog has version ${version}, and this Skerry reads up to ${version_max}: start a newer Skerry`,
    );
  }
  return fields;
}

/** A decoded message, read field by field with the check that its type promises. */
export class Fields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #what: string;

  constructor(values: Readonly<Record<string, unknown>>, what: string) {
    this.#values = values;
    this.#what = what;
  }

  number(name: string): number {
    const value = this.#values[name];
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
    return this.#refuse(name);
  }

  text(name: string): string {
    const value = this.#values[name];
    return typeof value === 'string' ? value : this.#refuse(name);
  }

  bytes(name: string): Uint8Array {
    const value = this.#values[name];
    if (value instanceof Uint8Array) return Uint8Array.from(value);
    // An absent bytes field has the default of an empty array.
    return Array.isArray(value) && value.length === 0 ? new Uint8Array(0) : this.#refuse(name);
  }

  choice<T extends string>(name: string, choices: readonly T[]): T {
    return choices[this.number(name) - 1] ?? this.#refuse(name);
  }

  map(name: string): Readonly<Record<string, string>> {
    const value = this.#values[name];
    if (typeof value !== 'object' || value === null) return this.#refuse(name);
    const entries = Object.entries(value);
    return Object.fromEntries(entries.map(([key, entry]) => [key, typeof entry === 'string' ? entry : this.#refuse(name)]));
  }

  flag(name: string): boolean {
    const value = this.#values[name];
    return typeof value === 'boolean' ? value : this.#refuse(name);
  }

  messages(name: string): readonly Fields[] {
    const value = this.#values[name];
    if (!Array.isArray(value)) return this.#refuse(name);
    return value.map((entry) => new Fields(entry as Record<string, unknown>, this.#what));
  }

  message(name: string): Fields {
    const value = this.#values[name];
    if (typeof value !== 'object' || value === null) return this.#refuse(name);
    return new Fields(value as Record<string, unknown>, this.#what);
  }

  optional(name: string): Fields | null {
    const value = this.#values[name];
    return value === null || value === undefined ? null : this.message(name);
  }

  #refuse(name: string): never {
    throw new SkerryError('corrupt', `field ${name} of a ${this.#what} record of the catalog is not what it must be`);
  }
}

/** Enumerations count from 1 on the wire, so that an absent field is an error and not the first choice. */
export function number<T extends string>(choices: readonly T[], choice: T): number {
  const index = choices.indexOf(choice);
  if (index < 0) throw new RangeError(`${choice} is none of ${choices.join(', ')}`);
  return index + 1;
}

export function exact(value: number, field: string): number {
  if (!Number.isSafeInteger(value) || value < 0)
    throw new RangeError(`${field} of a record must be a safe integer of at least 0, not ${value}`);
  return value;
}
