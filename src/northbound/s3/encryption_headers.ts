/**
 * Server-side encryption, as headers ask for it and tell it: with keys of the account (SSE-S3), with those of its keys that have names (SSE-KMS,
 * any name will do), and with keys that clients bring with each request (SSE-C), of which nothing stays here.
 */
import { createHash } from 'node:crypto';

import type { BucketRecord, Seal, UploadRecord } from '../../catalog/object_records.js';
import type { GivenAttributes } from '../../object/objects.js';
import { newSeal, openSeal, type NewSeal } from '../../object/seals.js';
import { defaultEncryption } from './encryption_configuration.js';
import { S3Failure } from './errors.js';
import type { Exchange } from './exchange.js';
import type { Headers } from './headers.js';
import { sameSecret } from './same_secret.js';

const methodHeader = 'x-amz-server-side-encryption';
const keyNameHeader = 'x-amz-server-side-encryption-aws-kms-key-id';
const contextHeader = 'x-amz-server-side-encryption-context';
const customerPrefix = 'x-amz-server-side-encryption-customer-';
const sourcePrefix = 'x-amz-copy-source-server-side-encryption-customer-';
const customer_key_bytes = 32;
/** What KMS calls the key that is taken where none is named. */
const default_key_name = 'alias/aws/s3';

/** Of what this request stores, after access was judged; null: it is not sealed. @throws S3Failure InvalidArgument, NotImplemented */
export async function sealingOf(exchange: Exchange, bucket: BucketRecord): Promise<NewSeal | null> {
  const { headers } = exchange.request;
  const customer = customerKey(headers, customerPrefix);
  const named = headers.get(methodHeader);
  if (customer !== null) {
    if (named !== undefined)
      throw invalid(
        methodHeader,
        named,
        'Server Side Encryption with Customer provided key is incompatible with the encryption method specified',
      );
    return newSeal('customer', '', customer);
  }
  const wanted = wantedKey(headers) ?? (await byDefault(exchange, bucket));
  if (wanted === null) return null;
  const { encryptionKey } = await exchange.services.accounts.secrets(bucket.account);
  return newSeal(wanted.kind, wanted.keyName, encryptionKey);
}

/** As an order has them. */
export function sealedAttributes(
  attributes: GivenAttributes,
  sealing: NewSeal | null,
): { readonly attributes: GivenAttributes; readonly objectKey?: Uint8Array } {
  if (sealing === null) return { attributes };
  return { attributes: { ...attributes, seal: sealing.seal }, objectKey: sealing.objectKey };
}

/**
 * Of an object or an upload in `bucket`, for who may have it; undefined: it is not sealed. `of`: whose key the headers bring.
 * @throws S3Failure InvalidRequest, InvalidArgument
 */
export async function objectKeyOf(
  exchange: Exchange,
  bucket: BucketRecord,
  seal: Seal | undefined,
  of: 'object' | 'source' = 'object',
): Promise<Uint8Array | undefined> {
  const customer = customerKey(exchange.request.headers, of === 'object' ? customerPrefix : sourcePrefix);
  if (seal?.kind === 'customer') {
    if (customer === null)
      throw new S3Failure(
        'InvalidRequest',
        'The object was stored using a form of Server Side Encryption. The correct parameters must be provided to retrieve the object.',
      );
    const key = openSeal(seal, customer);
    if (key === null)
      throw new S3Failure('InvalidArgument', 'The provided encryption parameters did not match the ones used originally.');
    return key;
  }
  if (customer !== null) throw new S3Failure('InvalidRequest', 'The encryption parameters are not applicable to this object.');
  if (seal === undefined) return undefined;
  const { encryptionKey } = await exchange.services.accounts.secrets(bucket.account);
  const key = openSeal(seal, encryptionKey);
  if (key === null) throw new Error('the key of a sealed object does not open with its account');
  return key;
}

/** For parts of an upload; nothing for one that is not there, which whoever stores them finds out. @throws as objectKeyOf() */
export async function uploadKey(
  exchange: Exchange,
  bucket: BucketRecord,
  upload: UploadRecord | null,
): Promise<{ readonly objectKey?: Uint8Array }> {
  const objectKey = upload === null ? undefined : await objectKeyOf(exchange, bucket, upload.attributes.seal);
  return objectKey === undefined ? {} : { objectKey };
}

/** Who reads says nothing of methods: the object knows its own. @throws S3Failure InvalidArgument */
export function refuseMethod({ request: { headers } }: Exchange): void {
  const given = headers.get(methodHeader);
  if (given !== undefined) throw invalid(methodHeader, given, `${methodHeader} header is not supported for this operation.`);
}

export function sealHeaders({ request: { headers } }: Exchange, seal: Seal | undefined): Record<string, string> {
  switch (seal?.kind) {
    case undefined:
      return {};
    case 'account':
      return { [methodHeader]: 'AES256' };
    case 'named':
      return { [methodHeader]: 'aws:kms', [keyNameHeader]: seal.keyName };
    case 'customer':
      return { [`${customerPrefix}algorithm`]: 'AES256', ...customerMd5(headers) };
  }
}

/** It is not kept: who brings no key, to complete an upload, is not told of one. */
function customerMd5(headers: Headers): Record<string, string> {
  const md5 = headers.get(`${customerPrefix}key-md5`);
  return md5 === undefined ? {} : { [`${customerPrefix}key-md5`]: md5 };
}

interface AccountKey {
  readonly kind: 'account' | 'named';
  readonly keyName: string;
}

function wantedKey(headers: Headers): AccountKey | null {
  const method = headers.get(methodHeader);
  const keyName = headers.get(keyNameHeader);
  if (headers.has(contextHeader)) throw new S3Failure('NotImplemented');
  if (keyName !== undefined && method !== 'aws:kms')
    throw invalid(keyNameHeader, keyName, `${keyNameHeader} needs ${methodHeader} to be aws:kms`);
  switch (method ?? '') {
    case '':
      return null;
    case 'AES256':
      return { kind: 'account', keyName: '' };
    case 'aws:kms':
      return namedKey(keyName);
    case 'aws:kms:dsse':
      throw new S3Failure('NotImplemented');
    default:
      throw invalid(methodHeader, method ?? '', 'The encryption method specified is not supported');
  }
}

function namedKey(keyName: string | undefined): AccountKey {
  const name = keyName ?? default_key_name;
  if (!/^[\x21-\x7e]{1,256}$/.test(name))
    throw invalid(keyNameHeader, name, 'The name of a key has 1 to 256 characters of ASCII');
  return { kind: 'named', keyName: name };
}

async function byDefault({ services }: Exchange, { name }: BucketRecord): Promise<AccountKey | null> {
  const kept = await defaultEncryption(services.store.buckets, name);
  if (kept === null) return null;
  return kept.algorithm === 'AES256' ? { kind: 'account', keyName: '' } : namedKey(kept.keyId ?? undefined);
}

/** null: none is given. @throws S3Failure InvalidArgument, InvalidEncryptionAlgorithmError */
function customerKey(headers: Headers, prefix: string): Buffer | null {
  const [algorithm, text, md5] = ['algorithm', 'key', 'key-md5'].map((name) => headers.get(prefix + name));
  if (algorithm === undefined && text === undefined && md5 === undefined) return null;
  const requests = 'Requests specifying Server Side Encryption with Customer provided keys must provide';
  if (algorithm === undefined) throw invalid(`${prefix}algorithm`, '', `${requests} a valid encryption algorithm.`);
  if (algorithm !== 'AES256')
    throw new S3Failure('InvalidEncryptionAlgorithmError', undefined, {
      details: { ArgumentName: `${prefix}algorithm`, ArgumentValue: algorithm },
    });
  const key = Buffer.from(text ?? '', 'base64');
  if (text === undefined || key.length !== customer_key_bytes || key.toString('base64') !== text)
    throw invalid(`${prefix}key`, '', `${requests} an appropriate secret key.`);
  if (md5 === undefined) throw invalid(`${prefix}key-md5`, '', `${requests} the client calculated MD5 of the secret key.`);
  if (!sameSecret(createHash('md5').update(key).digest('base64'), md5))
    throw invalid(`${prefix}key-md5`, md5, 'The calculated MD5 hash of the key did not match the hash that was provided.');
  return key;
}

function invalid(name: string, value: string, message: string): S3Failure {
  return new S3Failure('InvalidArgument', message, { details: { ArgumentName: name, ArgumentValue: value } });
}
