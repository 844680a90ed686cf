/** Whose an object is that one account puts into the bucket of another, and whether lists say anything at all. */
import { z } from 'zod';

import type { BucketRecord } from '../../catalog/object_records.js';
import { readDocument, type BucketDocuments, type DocumentKind } from './bucket_documents.js';
import type { Exchange } from './exchange.js';

/** ObjectWriter is what holds where nothing was set. BucketOwnerEnforced: all is the bucket owner's, and lists count for nothing. */
export const objectOwnerships = ['BucketOwnerEnforced', 'BucketOwnerPreferred', 'ObjectWriter'] as const;
export type ObjectOwnership = (typeof objectOwnerships)[number];

export const ownershipDocument: DocumentKind<ObjectOwnership> = { kind: 'ownership', schema: z.enum(objectOwnerships) };

export interface NewOwner {
  /** Of the account. */
  readonly id: number;
  readonly canonicalId: string;
}

/** null: nothing was set. */
export function objectOwnership(buckets: Pick<BucketDocuments, 'document'>, bucket: string): Promise<ObjectOwnership | null> {
  return readDocument(buckets, bucket, ownershipDocument);
}

/** Of what this request stores in `bucket`. What nobody signed for is the bucket owner's. */
export async function newOwner({ caller, request, services }: Exchange, bucket: BucketRecord): Promise<NewOwner> {
  const writer = caller?.principal ?? null;
  if (writer?.account === bucket.account) return { id: writer.account, canonicalId: writer.canonicalId };
  const ownership = await objectOwnership(services.store.buckets, bucket.name);
  const given = ownership === 'BucketOwnerPreferred' && request.headers.get('x-amz-acl') === 'bucket-owner-full-control';
  if (writer !== null && ownership !== 'BucketOwnerEnforced' && !given)
    return { id: writer.account, canonicalId: writer.canonicalId };
  const { id, canonicalId } = await services.accounts.get(bucket.account);
  return { id, canonicalId };
}
