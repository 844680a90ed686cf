/** What a volume can be made from, as it is named on the command line. */
import type { ResourceView } from '../api/shapes.js';
import type { Client } from '../control/client.js';
import { isSkerryError, SkerryError } from '../core/errors.js';
import { isSnapshotName } from '../core/names.js';
import { isObjectUri, parseObjectUri } from '../core/object_uri.js';
import { formatSize } from '../core/sizes.js';

/** @throws SkerryError invalid for an object that is not named as one, and for other schemes. */
export function checkSource(source: string): string {
  if (!/^[a-z0-9]+:\/\//i.test(source)) return source;
  if (isObjectUri(source)) {
    parseObjectUri(source);
    return source;
  }
  throw new SkerryError(
    'invalid',
    `${source}: a volume is made from a volume, VOL@SNAP, an image or an object, s3://BUCKET/KEY; import a file with: skerry image import FILE NAME`,
  );
}

/** A clone takes size and pool from its source; where the user named them as well, they must say the same. */
export async function checkAgainstSource(
  client: Client,
  source: string,
  wanted: { readonly sizeBytes: number | undefined; readonly pool: string | undefined },
): Promise<void> {
  if (wanted.sizeBytes === undefined && wanted.pool === undefined) return;
  if (isObjectUri(source))
    throw new SkerryError(
      'invalid',
      `a volume of an object has its size, and is in the pool of its bucket: leave --size and --pool out; skerry volume resize makes it larger`,
    );
  const { sizeBytes, pool } = await findSource(client, source);
  if (wanted.sizeBytes !== undefined && wanted.sizeBytes !== sizeBytes) {
    throw new SkerryError(
      'invalid',
      `a clone has the size of its source, and ${source} has ${formatSize(sizeBytes)} (${sizeBytes} bytes): leave --size out`,
    );
  }
  if (wanted.pool !== undefined && wanted.pool !== pool) {
    throw new SkerryError('invalid', `a clone is in the pool of its source, and ${source} is in ${pool}: leave --pool out`);
  }
}

async function findSource(client: Client, source: string): Promise<ResourceView> {
  // Where a volume and an image share a name, the kind stands in front.
  const [, kind, name = ''] = /^(volume|snapshot|image)\/(.*)$/s.exec(source) ?? [];
  if (kind === 'volume') return client.volume(name);
  if (kind === 'image') return client.image(name);
  if (kind === 'snapshot') return client.snapshot(name);
  if (isSnapshotName(source)) return client.snapshot(source);
  try {
    return await client.volume(source);
  } catch (error) {
    if (!isSkerryError(error, 'not-found')) throw error;
  }
  try {
    return await client.image(source);
  } catch (error) {
    if (!isSkerryError(error, 'not-found')) throw error;
    throw new SkerryError('not-found', `there is no volume or image ${source}`, { cause: error });
  }
}
