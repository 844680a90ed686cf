/** Whom a request is for: the service, a bucket or an object, by the host it was sent to and by its path. */
import { isIPv4, isIPv6 } from 'node:net';

import { isBucketName } from './bucket_name.js';
import { S3Failure } from './errors.js';
import { checkObjectKey } from './object_key.js';
import { textOfBytes } from './percent.js';

export interface Address {
  /** null where the service itself is meant. */
  readonly bucket: string | null;
  /** null where the bucket itself is meant. */
  readonly key: string | null;
  readonly style: 'path' | 'virtual-host';
}

export interface AddressingOptions {
  /** Below which each bucket has a host of its own, `BUCKET.DOMAIN`; in lower case, without ports. */
  readonly domains: readonly string[];
}

/**
 * A host that is none of the domains, nor below one, is path style: clients come by addresses, and by names that only they know.
 * @throws S3Failure InvalidURI, InvalidBucketName, KeyTooLongError
 */
export function addressOf(request: { readonly host: string; readonly path: string }, options: AddressingOptions): Address {
  const path = textOfBytes(request.path);
  if (path === null) throw new S3Failure('InvalidURI');
  const host = hostName(request.host);
  if (host === null) throw new S3Failure('InvalidRequest', 'The Host header is not valid');
  const bucket = bucketOfHost(host, options.domains);
  if (bucket !== null) return checked({ bucket, key: path.slice(1) || null, style: 'virtual-host' });
  if (path === '/') return { bucket: null, key: null, style: 'path' };
  // Decoded before it is taken apart: to a signature an encoded slash is a slash.
  const slash = path.indexOf('/', 1);
  const end = slash < 0 ? path.length : slash;
  return checked({ bucket: path.slice(1, end), key: path.slice(end + 1) || null, style: 'path' });
}

/** Without port and last dot, in lower case; an IPv6 address without its brackets. null where it is no host at all. */
export function hostName(host: string): string | null {
  const six = /^\[([^\]]*)\](?::\d{0,5})?$/.exec(host);
  if (six !== null) return isIPv6(six[1] ?? '') ? (six[1] ?? '').toLowerCase() : null;
  const name = /^([A-Za-z0-9._-]+)(?::\d{0,5})?$/.exec(host)?.[1];
  return name === undefined ? null : name.toLowerCase().replace(/\.$/, '');
}

function bucketOfHost(host: string, domains: readonly string[]): string | null {
  if (isIPv4(host) || isIPv6(host) || domains.includes(host)) return null;
  // Of two domains that both fit, the longer: `eu.example` below `example` is no bucket.
  const domain = domains.filter((each) => host.endsWith(`.${each}`)).sort((a, b) => b.length - a.length)[0];
  return domain === undefined ? null : host.slice(0, -domain.length - 1);
}

function checked(address: Address): Address {
  const { bucket, key } = address;
  if (bucket === null || !isBucketName(bucket))
    throw new S3Failure(
      'InvalidBucketName',
      `The specified bucket is not valid: ${JSON.stringify(bucket ?? '')} is no name of 3 to 63 small letters, digits, hyphens and dots.`,
      { details: { BucketName: bucket ?? '' } },
    );
  if (key !== null) checkObjectKey(key);
  return address;
}
