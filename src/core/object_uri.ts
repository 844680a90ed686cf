/** Objects as people name them where a disk is made of one: s3://BUCKET/KEY, with ?versionId=ID behind it for one that is not the newest. */
import { SkerryError } from './errors.js';

export interface ObjectPlace {
  readonly bucket: string;
  /** As it is: nothing in it is decoded, so that what a listing shows can be written. */
  readonly key: string;
  readonly versionId?: string;
}

const scheme = 's3://';
const version = '?versionId=';

export function isObjectUri(source: string): boolean {
  return source.startsWith(scheme);
}

/** @throws SkerryError invalid */
export function parseObjectUri(source: string): ObjectPlace {
  const refuse = (why: string): never => {
    throw new SkerryError('invalid', `${source} names no object: ${why}. Write s3://BUCKET/KEY`);
  };
  if (!isObjectUri(source)) refuse('it does not begin with s3://');
  const slash = source.indexOf('/', scheme.length);
  const bucket = source.slice(scheme.length, slash < 0 ? source.length : slash);
  if (bucket === '') refuse('its bucket has no name');
  const path = slash < 0 ? '' : source.slice(slash + 1);
  const at = path.lastIndexOf(version);
  const key = at < 0 ? path : path.slice(0, at);
  if (key === '') refuse('its key is missing');
  if (at < 0) return { bucket, key };
  const versionId = path.slice(at + version.length);
  if (versionId === '') refuse('its version is missing');
  return { bucket, key, versionId };
}
