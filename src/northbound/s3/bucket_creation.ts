/** A bucket comes to be: where, whose, who may see it, and whether its objects may be locked. */
import { isSkerryError, SkerryError } from '../../core/errors.js';
import type { NewBucket } from '../../object/buckets.js';
import { acl_kind, bucketAcl, decodeAcl, encodeAcl } from './acl_document.js';
import { aclOfHeaders } from './acl_headers.js';
import { emptyAnswer } from './answer.js';
import { encodeDocument } from './bucket_documents.js';
import { allowsMakingAgain, locationConstraint } from './bucket_location.js';
import { S3Failure } from './errors.js';
import { invalidArgument } from './list_parameters.js';
import { objectOwnerships, ownershipDocument, type ObjectOwnership } from './object_ownership.js';
import { bucketName, signedCaller, type Exchange, type Operation } from './exchange.js';

/** Of one account. Who makes several at once may get a few more. */
export const buckets_per_account_max = 1000;

export const createBucket: Operation = {
  name: 'CreateBucket',
  async run(exchange) {
    const { account, canonicalId } = signedCaller(exchange);
    const { pool, accounts, region } = exchange.services;
    const name = bucketName(exchange);
    const configuration = await exchange.body.optionalXml('CreateBucketConfiguration');
    // A directory bucket, or tags that come with it.
    if (configuration?.children.some((child) => child.name !== 'LocationConstraint') === true)
      throw new S3Failure('NotImplemented');
    const location = locationConstraint(configuration, region);
    const acl = await aclOfHeaders(exchange, { canonicalId }, { canonicalId });
    const ownership = givenOwnership(exchange);
    if (ownership === 'BucketOwnerEnforced' && acl !== '') throw new S3Failure('InvalidBucketAclWithObjectOwnership');
    const documents = new Map<string, Uint8Array>([
      ...(acl === '' ? [] : [[acl_kind, Buffer.from(acl)] as const]),
      ...(ownership === undefined ? [] : [[ownershipDocument.kind, encodeDocument(ownership)] as const]),
    ]);
    const objectLock = booleanHeader(exchange, 'x-amz-bucket-object-lock-enabled');
    const order: NewBucket = { name, account, pool, location, objectLock, documents };
    // A bucket comes only to be in an account that is not being deleted: the transaction compares it.
    await make(exchange, { ...order, compares: [await accounts.livingEntry(account)] }).catch(async (error: unknown) => {
      if (!(error instanceof SkerryError && error.reason === 'bucket-already-owned-by-you')) throw error;
      if (!allowsMakingAgain(region)) throw error;
      await checkSame(exchange, order, acl, canonicalId);
    });
    return emptyAnswer(200, { location: `/${name}` });
  },
};

async function make({ services: { store } }: Exchange, order: NewBucket): Promise<void> {
  const { next } = await store.buckets.list(order.account, { bucketsMax: buckets_per_account_max });
  const known = next === null ? null : await store.buckets.get(order.name).catch(noneWhereMissing);
  if (next !== null && known === null) throw new S3Failure('TooManyBuckets');
  await store.buckets.create(order);
}

/** One that is there stays as it is, so it must be what was asked for. @throws S3Failure BucketAlreadyExists */
async function checkSame({ services }: Exchange, { name, objectLock }: NewBucket, acl: string, owner: string): Promise<void> {
  const { buckets } = services.store;
  const { record } = await buckets.get(name);
  const kept = await bucketAcl(buckets, name);
  const sameAcl = encodeAcl(decodeAcl(kept, owner)) === encodeAcl(decodeAcl(acl, owner));
  if (!sameAcl || record.objectLock !== (objectLock ?? false)) throw new S3Failure('BucketAlreadyExists');
}

/** @throws S3Failure InvalidArgument for one that there is not */
function givenOwnership({ request }: Exchange): ObjectOwnership | undefined {
  const name = 'x-amz-object-ownership';
  const text = request.headers.get(name);
  const ownership = objectOwnerships.find((each) => each === text);
  if (text !== undefined && ownership === undefined)
    throw invalidArgument(name, text, `Invalid ${name} header: one of ${objectOwnerships.join(', ')} is wanted`);
  return ownership;
}

/** @throws S3Failure InvalidArgument for neither true nor false */
function booleanHeader({ request }: Exchange, name: string): boolean {
  const text = (request.headers.get(name) ?? 'false').toLowerCase();
  if (text === 'true' || text === 'false') return text === 'true';
  throw invalidArgument(name, text, `The value of ${name} is neither true nor false`);
}

function noneWhereMissing(error: unknown): null {
  if (isSkerryError(error, 'not-found')) return null;
  throw error;
}
