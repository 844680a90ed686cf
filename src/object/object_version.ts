/** One version of an object, as whoever stores and reads it sees it. */
import type { Attributes, Checksum, ObjectRecord } from '../catalog/object_records.js';
import { SkerryError } from '../core/errors.js';
import { partCount } from './body_parts.js';
import { versionIdOf } from './versions.js';

export interface ObjectName {
  readonly bucket: string;
  readonly key: string;
}

export interface VersionName extends ObjectName {
  /** Absent: what is current. */
  readonly versionId?: string;
}

export interface Version {
  readonly key: string;
  readonly versionId: string;
  readonly deleteMarker: boolean;
  readonly bytes: number;
  readonly etag: string;
  /** Milliseconds since 1970. */
  readonly modifiedAt: number;
  readonly attributes: Attributes;
  readonly checksum: Checksum | null;
  /** That it was uploaded in; 0 for one that was put at once. */
  readonly parts: number;
}

export function versionOf(key: string, record: ObjectRecord): Version {
  const { deleteMarker, bytes, etag, modifiedAt, attributes, checksum, multipart, body } = record;
  const parts = multipart ? partCount(body) : 0;
  return { key, versionId: versionIdOf(record), deleteMarker, bytes, etag, modifiedAt, attributes, checksum, parts };
}

export function notFound(reason: 'no-such-key' | 'no-such-version', { bucket, key }: ObjectName): SkerryError {
  const what = reason === 'no-such-version' ? 'no such version of the object' : 'no object';
  return new SkerryError('not-found', `there is ${what} ${JSON.stringify(key.slice(0, 200))} in bucket ${bucket}`, { reason });
}

/** What was asked for is a delete marker, and cannot be read. */
export class DeleteMarkerFound extends SkerryError {
  readonly version: Version;

  constructor(version: Version) {
    super('not-found', `there is no object ${JSON.stringify(version.key.slice(0, 200))}: it was deleted`, {
      reason: 'delete-marker',
    });
    this.version = version;
  }
}

export function noObjectLock(bucket: string): SkerryError {
  return new SkerryError('invalid', `object lock is not enabled in bucket ${bucket}`, { reason: 'no-object-lock' });
}
