/** What the admin API tells of buckets that show resources as objects, and does to them. */
import type { PublicationView } from '../../api/publication_shapes.js';
import { isSkerryError, SkerryError } from '../../core/errors.js';
import type { Publications, PublicationView as Published } from '../../object/publications.js';
import type { Handlers } from './admin.js';
import type { IdentitySource } from './identity.js';

export type PublicationSource = Pick<Publications, 'create' | 'list' | 'remove'>;

export function publicationHandlers(
  publications: PublicationSource,
  { accounts }: Pick<IdentitySource, 'accounts'>,
): Pick<Handlers, 'publicationList' | 'publicationCreate' | 'publicationDelete'> {
  const view = async (one: Published): Promise<PublicationView> => ({
    bucket: one.bucket,
    account: await nameOf(one.account),
    shows: one.volume === 0 ? 'images' : 'snapshots',
    volume: one.volumeName,
    pool: one.pool,
    ending: one.ending,
  });
  const nameOf = async (account: number): Promise<string> => {
    try {
      return (await accounts.get(account)).name;
    } catch (error) {
      if (!isSkerryError(error, 'not-found')) throw error;
      return String(account);
    }
  };
  return {
    publicationList: async () => ({ publications: await Promise.all((await publications.list()).map(view)) }),
    publicationCreate: async ({ body: { account, ...order } }) => {
      if (order.volume !== undefined && order.pool !== undefined)
        throw new SkerryError('invalid', 'snapshots are in the pool of their volume: name no pool');
      return view(await publications.create({ ...order, account: (await accounts.get(account)).id }));
    },
    publicationDelete: async ({ params: { bucket } }) => {
      await publications.remove(bucket);
      return { kind: 'publication', name: bucket, deleted: true };
    },
  };
}
