/** What the catalog holds of buckets, objects and uploads (docs/formats/object_records.md). */
import protobuf from 'protobufjs';

import { SkerryError } from '../core/errors.js';
import { decode, encode, exact, record_version, type Fields } from './records.js';

/** Of a part that is counted: a Skerry that would count it once more when its upload is completed must not touch it. */
export const counted_part_version = 2;

/** never: a key has one version, and it is replaced. suspended: versions are kept, and new ones replace the null version. */
export const versionings = ['never', 'enabled', 'suspended'] as const;
export type Versioning = (typeof versionings)[number];

export const retentionModes = ['governance', 'compliance'] as const;

export const checksumAlgorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number];

/** composite: of the checksums of the parts; full-object: of all bytes. */
export const checksumTypes = ['composite', 'full-object'] as const;
export type ChecksumType = (typeof checksumTypes)[number];

export interface Retention {
  readonly mode: (typeof retentionModes)[number];
  /** Milliseconds since 1970. */
  readonly until: number;
}

export interface DefaultRetention {
  readonly mode: (typeof retentionModes)[number];
  readonly days: number;
}

export interface BucketRecord {
  /** Never reused. */
  readonly id: number;
  readonly name: string;
  readonly account: number;
  /** Where its bodies are. */
  readonly pool: string;
  /** As whoever made it calls its place; '' for the only one there is. */
  readonly location: string;
  /** Milliseconds since 1970. */
  readonly createdAt: number;
  readonly versioning: Versioning;
  /** Versions may be locked. Never taken back. */
  readonly objectLock: boolean;
  readonly defaultRetention: DefaultRetention | null;
  /** It is being removed: nothing new comes in. */
  readonly deleting: boolean;
  /** What is in it comes and goes with resources that it shows (publication_record.ts), and nobody else changes it. Absent: false. */
  readonly readOnly?: true;
}

export interface Checksum {
  readonly algorithm: ChecksumAlgorithm;
  readonly type: ChecksumType;
  /** In base 64, without a number of parts behind it. */
  readonly value: string;
}

/** whose: the account's, one of the account's that has a name, or one that only the client has. */
export const sealKinds = ['account', 'named', 'customer'] as const;

/** How the body is encrypted where it rests. */
export interface Seal {
  readonly kind: (typeof sealKinds)[number];
  /** Of the key that wraps, as users call it; '' for other kinds than named. */
  readonly keyName: string;
  /** The object's key, encrypted: 12 bytes of nonce, then AES-256-GCM with its tag. */
  readonly wrappedKey: Uint8Array;
}

/** What whoever stores an object says of it. */
export interface Attributes {
  readonly owner: number;
  /** content-type and the like, by their names in small letters. */
  readonly headers: Readonly<Record<string, string>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: Readonly<Record<string, string>>;
  /** A document that the object layer does not read; '' where there is none. */
  readonly acl: string;
  readonly storageClass: string;
  readonly retention: Retention | null;
  readonly legalHold: boolean;
  /** Absent: the body rests as it is, but for what its pool does. */
  readonly seal?: Seal;
}

/** Bytes of one extent of a shelf. */
export interface Segment {
  /** Resource id. */
  readonly shelf: number;
  /** Where the extent begins in the shelf, in bytes. */
  readonly extent: number;
  /** Where the segment begins in the extent. */
  readonly start: number;
  readonly bytes: number;
}

/** What was uploaded as one. A body that was put at once has one part. */
export interface BodyPart {
  readonly bytes: number;
  /** In base 64; '' where there is none. */
  readonly checksum: string;
  readonly segments: readonly Segment[];
  /** Of the key stream, where the object is sealed. */
  readonly salt?: Uint8Array;
}

/** One record of a chained body: what is in it, so that a reader of a range need not read the others. */
export interface BodyLink {
  readonly bytes: number;
  readonly parts: number;
  readonly segments: number;
}

/** Either `parts` are all, or they are in records of their own (bodyPartsKey), of which `chain` tells. */
export interface BodyRecord {
  readonly parts: readonly BodyPart[];
  readonly chain: readonly BodyLink[];
}

/** One version of an object. */
export interface ObjectRecord {
  /** Never reused; larger than that of every older version of the key. */
  readonly id: number;
  /** It is the one version that users call null. */
  readonly isNull: boolean;
  readonly deleteMarker: boolean;
  readonly bytes: number;
  /** Hexadecimal digits, with `-N` for one of N parts. */
  readonly etag: string;
  readonly modifiedAt: number;
  readonly attributes: Attributes;
  readonly checksum: Checksum | null;
  /** Made of uploaded parts, however few. */
  readonly multipart: boolean;
  /** The upload that it was completed from: who asks for that again is told of this version. Absent: none, or a copy. */
  readonly upload?: number;
  readonly body: BodyRecord;
}

export interface UploadRecord {
  readonly id: number;
  readonly startedAt: number;
  readonly attributes: Attributes;
  readonly checksum: Pick<Checksum, 'algorithm' | 'type'> | null;
}

export interface PartRecord {
  /** Of its body, as of an object's. */
  readonly id: number;
  readonly etag: string;
  readonly modifiedAt: number;
  readonly part: BodyPart;
  /** Its bytes are in what the bucket holds. Absent: an older Skerry stored it, and counts no part before its upload is completed. */
  readonly counted?: true;
}

export const emptyBody: BodyRecord = { parts: [], chain: [] };

const words = (id: number): protobuf.IMapField => ({ keyType: 'string', type: 'string', id });

const schema = protobuf.Root.fromJSON({
  nested: {
    Bucket: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        name: { type: 'string', id: 3 },
        account: { type: 'uint64', id: 4 },
        pool: { type: 'string', id: 5 },
        location: { type: 'string', id: 6 },
        createdAt: { type: 'uint64', id: 7 },
        versioning: { type: 'uint32', id: 8 },
        objectLock: { type: 'bool', id: 9 },
        defaultRetention: { type: 'DefaultRetention', id: 10 },
        deleting: { type: 'bool', id: 11 },
        readOnly: { type: 'bool', id: 12 },
      },
    },
    DefaultRetention: { fields: { mode: { type: 'uint32', id: 1 }, days: { type: 'uint32', id: 2 } } },
    Retention: { fields: { mode: { type: 'uint32', id: 1 }, until: { type: 'uint64', id: 2 } } },
    Checksum: {
      fields: { algorithm: { type: 'uint32', id: 1 }, type: { type: 'uint32', id: 2 }, value: { type: 'string', id: 3 } },
    },
    Attributes: {
      fields: {
        owner: { type: 'uint64', id: 1 },
        headers: words(2),
        metadata: words(3),
        tags: words(4),
        acl: { type: 'string', id: 5 },
        storageClass: { type: 'string', id: 6 },
        retention: { type: 'Retention', id: 7 },
        legalHold: { type: 'bool', id: 8 },
        seal: { type: 'Seal', id: 9 },
      },
    },
    Seal: {
      fields: {
        kind: { type: 'uint32', id: 1 },
        keyName: { type: 'string', id: 2 },
        wrappedKey: { type: 'bytes', id: 3 },
      },
    },
    Segment: {
      fields: {
        shelf: { type: 'uint64', id: 1 },
        extent: { type: 'uint64', id: 2 },
        start: { type: 'uint64', id: 3 },
        bytes: { type: 'uint64', id: 4 },
      },
    },
    Part: {
      fields: {
        bytes: { type: 'uint64', id: 1 },
        checksum: { type: 'string', id: 2 },
        segments: { rule: 'repeated', type: 'Segment', id: 3 },
        salt: { type: 'bytes', id: 4 },
      },
    },
    Link: {
      fields: { bytes: { type: 'uint64', id: 1 }, parts: { type: 'uint32', id: 2 }, segments: { type: 'uint32', id: 3 } },
    },
    Body: {
      fields: { parts: { rule: 'repeated', type: 'Part', id: 1 }, chain: { rule: 'repeated', type: 'Link', id: 2 } },
    },
    BodyParts: { fields: { version: { type: 'uint32', id: 1 }, parts: { rule: 'repeated', type: 'Part', id: 2 } } },
    Object: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        isNull: { type: 'bool', id: 3 },
        deleteMarker: { type: 'bool', id: 4 },
        bytes: { type: 'uint64', id: 5 },
        etag: { type: 'string', id: 6 },
        modifiedAt: { type: 'uint64', id: 7 },
        attributes: { type: 'Attributes', id: 8 },
        checksum: { type: 'Checksum', id: 9 },
        multipart: { type: 'bool', id: 10 },
        body: { type: 'Body', id: 11 },
        upload: { type: 'uint64', id: 12 },
      },
    },
    Upload: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        startedAt: { type: 'uint64', id: 3 },
        attributes: { type: 'Attributes', id: 4 },
        checksum: { type: 'Checksum', id: 5 },
      },
    },
    UploadPart: {
      fields: {
        version: { type: 'uint32', id: 1 },
        id: { type: 'uint64', id: 2 },
        etag: { type: 'string', id: 3 },
        modifiedAt: { type: 'uint64', id: 4 },
        part: { type: 'Part', id: 5 },
        counted: { type: 'bool', id: 6 },
      },
    },
  },
});

const bucketType = schema.lookupType('Bucket');
const objectType = schema.lookupType('Object');
const uploadType = schema.lookupType('Upload');
const partType = schema.lookupType('UploadPart');
const bodyPartsType = schema.lookupType('BodyParts');

export function encodeBucket(record: BucketRecord): Uint8Array {
  for (const field of ['id', 'account', 'createdAt'] as const) exact(record[field], field);
  const { defaultRetention: kept, ...fields } = record;
  return encode(bucketType, {
    ...fields,
    version: record_version,
    versioning: versionings.indexOf(record.versioning) + 1,
    ...(kept === null ? {} : { defaultRetention: { mode: retentionModes.indexOf(kept.mode) + 1, days: kept.days } }),
  });
}

/** @throws SkerryError corrupt, or unsupported for a newer version; so do all of these. */
export function decodeBucket(data: Uint8Array): BucketRecord {
  const fields = decode(bucketType, data, 'bucket');
  const kept = fields.optional('defaultRetention');
  return {
    id: fields.number('id'),
    name: fields.text('name'),
    account: fields.number('account'),
    pool: fields.text('pool'),
    location: fields.text('location'),
    createdAt: fields.number('createdAt'),
    versioning: fields.choice('versioning', versionings),
    objectLock: fields.flag('objectLock'),
    defaultRetention: kept === null ? null : { mode: kept.choice('mode', retentionModes), days: kept.number('days') },
    deleting: fields.flag('deleting'),
    ...(fields.flag('readOnly') ? { readOnly: true as const } : {}),
  };
}

export function encodeObject(record: ObjectRecord): Uint8Array {
  for (const field of ['id', 'bytes', 'modifiedAt'] as const) exact(record[field], field);
  if (record.upload !== undefined) exact(record.upload, 'upload');
  const { checksum, attributes, body, ...fields } = record;
  return encode(objectType, {
    ...fields,
    version: record_version,
    attributes: attributeFields(attributes),
    ...(checksum === null ? {} : { checksum: checksumFields(checksum) }),
    ...(body === emptyBody ? {} : { body: { parts: body.parts.map(partFields), chain: body.chain } }),
  });
}

export function decodeObject(data: Uint8Array): ObjectRecord {
  const fields = decode(objectType, data, 'object');
  const checksum = fields.optional('checksum');
  const body = fields.optional('body');
  const upload = fields.number('upload');
  const record: ObjectRecord = {
    id: fields.number('id'),
    isNull: fields.flag('isNull'),
    deleteMarker: fields.flag('deleteMarker'),
    bytes: fields.number('bytes'),
    etag: fields.text('etag'),
    modifiedAt: fields.number('modifiedAt'),
    attributes: attributesOf(fields.message('attributes')),
    checksum: checksum === null ? null : checksumOf(checksum),
    multipart: fields.flag('multipart'),
    ...(upload === 0 ? {} : { upload }),
    body: body === null ? emptyBody : { parts: body.messages('parts').map(partOf), chain: body.messages('chain').map(linkOf) },
  };
  const inBody = [...record.body.parts, ...record.body.chain].reduce((sum, { bytes }) => sum + bytes, 0);
  if (inBody !== record.bytes)
    throw new SkerryError('corrupt', `object ${record.id} of the catalog has ${record.bytes} bytes, and a body of ${inBody}`);
  return record;
}

export function encodeBodyParts(parts: readonly BodyPart[]): Uint8Array {
  return encode(bodyPartsType, { version: record_version, parts: parts.map(partFields) });
}

export function decodeBodyParts(data: Uint8Array): readonly BodyPart[] {
  return decode(bodyPartsType, data, 'body').messages('parts').map(partOf);
}

export function encodeUpload(record: UploadRecord): Uint8Array {
  for (const field of ['id', 'startedAt'] as const) exact(record[field], field);
  const { checksum, attributes, ...fields } = record;
  return encode(uploadType, {
    ...fields,
    version: record_version,
    attributes: attributeFields(attributes),
    ...(checksum === null ? {} : { checksum: checksumFields({ ...checksum, value: '' }) }),
  });
}

export function decodeUpload(data: Uint8Array): UploadRecord {
  const fields = decode(uploadType, data, 'upload');
  const checksum = fields.optional('checksum');
  const kind = checksum === null ? null : checksumOf(checksum);
  return {
    id: fields.number('id'),
    startedAt: fields.number('startedAt'),
    attributes: attributesOf(fields.message('attributes')),
    checksum: kind === null ? null : { algorithm: kind.algorithm, type: kind.type },
  };
}

export function encodePart(record: PartRecord): Uint8Array {
  for (const field of ['id', 'modifiedAt'] as const) exact(record[field], field);
  const version = record.counted === true ? counted_part_version : record_version;
  return encode(partType, { ...record, version, part: partFields(record.part) });
}

export function decodePart(data: Uint8Array): PartRecord {
  const fields = decode(partType, data, 'uploaded part', counted_part_version);
  return {
    id: fields.number('id'),
    etag: fields.text('etag'),
    modifiedAt: fields.number('modifiedAt'),
    part: partOf(fields.message('part')),
    ...(fields.flag('counted') ? { counted: true } : {}),
  };
}

export function segmentFields({ shelf, extent, start, bytes }: Segment): Segment {
  return {
    shelf: exact(shelf, 'shelf'),
    extent: exact(extent, 'extent'),
    start: exact(start, 'start'),
    bytes: exact(bytes, 'bytes'),
  };
}

export function segmentOf(fields: Fields): Segment {
  return {
    shelf: fields.number('shelf'),
    extent: fields.number('extent'),
    start: fields.number('start'),
    bytes: fields.number('bytes'),
  };
}

function partFields({ bytes, checksum, segments, salt }: BodyPart): Record<string, unknown> {
  return {
    bytes: exact(bytes, 'bytes'),
    checksum,
    segments: segments.map(segmentFields),
    ...(salt === undefined ? {} : { salt }),
  };
}

function partOf(fields: Fields): BodyPart {
  const part = {
    bytes: fields.number('bytes'),
    checksum: fields.text('checksum'),
    segments: fields.messages('segments').map(segmentOf),
    ...saltOf(fields),
  };
  if (part.segments.reduce((sum, { bytes }) => sum + bytes, 0) !== part.bytes)
    throw new SkerryError('corrupt', 'a part of a body in the catalog is not as long as its segments');
  return part;
}

function saltOf(fields: Fields): Pick<BodyPart, 'salt'> {
  const salt = fields.bytes('salt');
  return salt.length === 0 ? {} : { salt };
}

function linkOf(fields: Fields): BodyLink {
  return { bytes: fields.number('bytes'), parts: fields.number('parts'), segments: fields.number('segments') };
}

function checksumFields({ algorithm, type, value }: Checksum): Record<string, unknown> {
  return { algorithm: checksumAlgorithms.indexOf(algorithm) + 1, type: checksumTypes.indexOf(type) + 1, value };
}

function checksumOf(fields: Fields): Checksum {
  return {
    algorithm: fields.choice('algorithm', checksumAlgorithms),
    type: fields.choice('type', checksumTypes),
    value: fields.text('value'),
  };
}

function attributeFields({ retention, seal, ...fields }: Attributes): Record<string, unknown> {
  return {
    ...fields,
    owner: exact(fields.owner, 'owner'),
    ...(retention === null
      ? {}
      : { retention: { mode: retentionModes.indexOf(retention.mode) + 1, until: exact(retention.until, 'until') } }),
    ...(seal === undefined ? {} : { seal: { ...seal, kind: sealKinds.indexOf(seal.kind) + 1 } }),
  };
}

function attributesOf(fields: Fields): Attributes {
  const retention = fields.optional('retention');
  const seal = fields.optional('seal');
  return {
    owner: fields.number('owner'),
    headers: fields.map('headers'),
    metadata: fields.map('metadata'),
    tags: fields.map('tags'),
    acl: fields.text('acl'),
    storageClass: fields.text('storageClass'),
    retention: retention === null ? null : { mode: retention.choice('mode', retentionModes), until: retention.number('until') },
    legalHold: fields.flag('legalHold'),
    ...(seal === null ? {} : { seal: sealOf(seal) }),
  };
}

function sealOf(fields: Fields): Seal {
  return {
    kind: fields.choice('kind', sealKinds),
    keyName: fields.text('keyName'),
    wrappedKey: fields.bytes('wrappedKey'),
  };
}
