/** Access control lists as they are kept: beside a bucket, and in the attributes of each object (docs/formats/bucket_documents.md). */
import { z } from 'zod';

import { SkerryError } from '../../core/errors.js';
import { cannedAcl, groups, permissions, type Acl } from '../../identity/acl.js';
import type { BucketDocuments } from './bucket_documents.js';

export const acl_version = 1;
/** Of a document of a bucket. */
export const acl_kind = 'acl';

const canonicalId = z.string().regex(/^[0-9a-f]{64}$/);
const schema = z.strictObject({
  version: z.literal(acl_version),
  owner: canonicalId,
  grants: z.array(
    z.strictObject({
      grantee: z.discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('account'), canonicalId }),
        z.strictObject({ kind: z.literal('group'), group: z.enum(groups) }),
      ]),
      permission: z.enum(permissions),
    }),
  ),
});

export function encodeAcl({ owner, grants }: Acl): string {
  return JSON.stringify({ version: acl_version, owner, grants });
}

/** '' stands for a list that nobody set: all for `owner`, and nothing for others. @throws SkerryError corrupt */
export function decodeAcl(text: string, owner: string): Acl {
  return text === '' ? cannedAcl('private', { owner, bucketOwner: owner }) : parseAcl(text);
}

/** Of one that was set. @throws SkerryError corrupt */
export function parseAcl(text: string): Acl {
  try {
    const { owner, grants } = schema.parse(JSON.parse(text));
    return { owner, grants };
  } catch (cause) {
    throw new SkerryError('corrupt', 'an access control list in the catalog is none', { cause });
  }
}

/** Of a bucket; '' where nobody set one. */
export async function bucketAcl(buckets: Pick<BucketDocuments, 'document'>, bucket: string): Promise<string> {
  const bytes = await buckets.document(bucket, acl_kind);
  return bytes === null ? '' : Buffer.from(bytes).toString('utf8');
}

/** '' takes it away. */
export function setBucketAcl(buckets: BucketDocuments, bucket: string, acl: string): Promise<void> {
  return buckets.setDocument(bucket, acl_kind, acl === '' ? null : Buffer.from(acl));
}
