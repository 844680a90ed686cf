/** What AWS's own model of S3 has is served as what it is, or refused: never taken for something else. */
import * as sdk from '@aws-sdk/client-s3';
import { describe, expect, test } from 'vitest';

import { addressOf } from '../../../../src/northbound/s3/address.js';
import { S3Failure } from '../../../../src/northbound/s3/errors.js';
import { operationOf } from '../../../../src/northbound/s3/operations.js';
import { readRequest } from '../../../../src/northbound/s3/request.js';
import { wire } from './world.js';

type Traits = Readonly<Record<string, unknown>>;

interface Member {
  readonly header: string | null;
  readonly query: string | null;
  readonly required: boolean;
}

interface Modelled {
  readonly name: string;
  readonly method: string;
  /** `/{Key+}?tagging`. */
  readonly target: string;
  readonly members: readonly Member[];
}

/** The SDK's schemas are lists: 9 is an operation, with its traits at 3 and its input at 4, whose members stand at 5, the required ones first. */
const modelled: Modelled[] = Object.values(sdk).flatMap((value: unknown): Modelled[] => {
  if (!Array.isArray(value) || value[0] !== 9) return [];
  const [, , name, traits, input] = value as [9, string, string, { http: [string, string, number] }, unknown];
  const [method, target] = traits.http;
  const structure = (typeof input === 'function' ? (input as () => unknown)() : input) as unknown[];
  const members = (structure[5] ?? []) as unknown[];
  const required = Number(structure[6] ?? 0);
  const memberOf = (member: unknown, at: number): Member => {
    const given = Array.isArray(member) && typeof member[1] === 'object' ? (member[1] as Traits) : {};
    const { httpHeader, httpQuery } = given as { httpHeader?: string; httpQuery?: string };
    return { header: httpHeader?.toLowerCase() ?? null, query: httpQuery ?? null, required: at < required };
  };
  return [{ name, method, target, members: members.map(memberOf) }];
});

/** The same request with all that it must have, and with `more`; null: refused as not to be had here. */
function servedAs({ method, target, members }: Modelled, more: Readonly<Record<string, string>> = {}): string | null {
  const path = target.startsWith('/{Key+}') ? `/bucket/key${target.slice('/{Key+}'.length)}` : `/bucket${target.slice(1)}`;
  const needed = members.filter(({ required }) => required);
  const query = needed.flatMap(({ query: name }) => (name === null ? [] : [`${name}=1`])).join('&');
  const headers = Object.fromEntries(needed.flatMap(({ header }) => (header === null ? [] : [[header, '1']])));
  const separator = path.includes('?') ? '&' : '?';
  const request = readRequest(wire(method, 's3.test', query === '' ? path : path + separator + query, { ...headers, ...more }));
  try {
    return operationOf(request, addressOf(request, { domains: ['s3.test'] })).name;
  } catch (error) {
    if (error instanceof S3Failure && (error.s3Code === 'NotImplemented' || error.s3Code === 'MethodNotAllowed')) return null;
    throw error;
  }
}

/** Of a bucket that is called WriteGetObjectResponse there is none: the name is none. */
const elsewhere = new Set(['ListBuckets', 'ListDirectoryBuckets', 'WriteGetObjectResponse']);
const ofKeys = modelled.filter(({ name }) => !elsewhere.has(name));

describe('an operation of the model', () => {
  test('is there to be looked at', () => {
    expect(modelled.length).toBeGreaterThan(100);
    expect(ofKeys.filter((one) => servedAs(one) !== null).length).toBeGreaterThan(60);
  });

  test.each(ofKeys.map((one) => [one.name, one] as const))('%s is served as that or refused', (name, one) => {
    expect([name, null]).toContain(servedAs(one));
  });

  test.each(['PutObjectAnnotation', 'DeleteObjectAnnotation', 'UpdateBucketMetadataInventoryTableConfiguration', 'RenameObject'])(
    '%s is refused',
    (name) => {
      expect(servedAs(modelled.find((one) => one.name === name)!)).toBeNull();
    },
  );
});

/** Of operations that are served. That each of these does what it says is told by tests of its own. */
const heeded = [
  'cache-control content-disposition content-encoding content-language content-length content-md5 content-type expires',
  'if-match if-modified-since if-none-match if-unmodified-since range',
  'x-amz-acl x-amz-grant-full-control x-amz-grant-read x-amz-grant-read-acp x-amz-grant-write x-amz-grant-write-acp',
  'x-amz-bucket-object-lock-enabled x-amz-bypass-governance-retention x-amz-object-ownership',
  'x-amz-checksum-algorithm x-amz-checksum-mode x-amz-checksum-type x-amz-sdk-checksum-algorithm',
  'x-amz-copy-source x-amz-copy-source-if-match x-amz-copy-source-if-modified-since x-amz-copy-source-if-none-match',
  'x-amz-copy-source-if-unmodified-since x-amz-copy-source-range x-amz-expected-bucket-owner x-amz-source-expected-bucket-owner',
  'x-amz-max-parts x-amz-metadata-directive x-amz-mp-object-size x-amz-object-attributes x-amz-part-number-marker',
  'x-amz-object-lock-legal-hold x-amz-object-lock-mode x-amz-object-lock-retain-until-date',
  'x-amz-server-side-encryption x-amz-server-side-encryption-aws-kms-key-id x-amz-server-side-encryption-context',
  'x-amz-skip-destination-validation x-amz-storage-class x-amz-tagging x-amz-tagging-directive',
  'x-amz-transition-default-minimum-object-size x-amz-website-redirect-location',
].flatMap((line) => line.split(' '));
/** They change nothing of what is asked for, as Skerry is. */
const harmless = [
  // No token and no device is asked for, nobody is locked out by a policy, and who pays is the owner.
  'x-amz-mfa x-amz-bucket-object-lock-token x-amz-confirm-remove-self-bucket-access x-amz-request-payer',
  // There is nothing that they are about: annotations, keys of buckets, objects that are restored.
  'x-amz-object-annotation-directive x-amz-server-side-encryption-bucket-key-enabled x-amz-optional-object-attributes',
].flatMap((line) => line.split(' '));
/** `x-amz-checksum-crc32`: one that is not known is refused with the body. */
const families = /^x-amz-(?:checksum-[a-z0-9]+|(?:copy-source-)?server-side-encryption-customer-(?:algorithm|key|key-md5))$/;

const served = ofKeys.filter((one) => servedAs(one) !== null);
const headers = [...new Set(served.flatMap(({ members }) => members.flatMap(({ header }) => header ?? [])))].sort();

test.each(headers)('the header %s is heeded, harmless or refused', (header) => {
  const known = heeded.includes(header) || harmless.includes(header) || families.test(header);
  const of = served.filter(({ members }) => members.some((member) => member.header === header));
  for (const one of of) expect([one.name, servedAs(one, { [header]: '1' })]).toEqual([one.name, known ? one.name : null]);
});
