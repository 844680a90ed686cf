/** Access control lists as they are kept: beside a bucket, and in the attributes of each object (docs/formats/bucket_documents.md). */
import { z } from 'zod';

import { SkerryError } from '../../core/errors.js';
import { cannedAcl, groups, permissions, type Acl } from '../../identity/acl.js';

export const acl_version = 1;

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
  if (text === '') return cannedAcl('private', { owner, bucketOwner: owner });
  try {
    const { owner: kept, grants } = schema.parse(JSON.parse(text));
    return { owner: kept, grants };
  } catch (cause) {
    throw new SkerryError('corrupt', 'an access control list in the catalog is none', { cause });
  }
}
