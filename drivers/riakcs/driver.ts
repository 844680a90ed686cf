/** Chunks in a bucket of Riak CS: S3 as it was, with signature version 2, the first listing, and no conditions on a put. */
import { z } from 'zod';

import { registerDriver } from '../../src/driver/registry.js';
import { traitsOf } from '../s3/dialect.js';
import { bucketSettings, endpointSetting, hasOneSecret, oneSecretMessage, readSecret } from '../s3/settings.js';
import { signerV2 } from './signature_v2.js';

/** A listing is gathered from vnodes that may not have heard of the last write. A get asks a quorum. */
export const riakcsDialect = { listing: 'v1', conditionalPut: false, listsLate: true } as const;

export const riakcsDriver = registerDriver({
  name: 'riak-cs',
  description: 'Chunks as objects in a bucket of Riak CS',
  settings: z.strictObject({ ...bucketSettings, endpoint: endpointSetting }).refine(hasOneSecret, oneSecretMessage),
  secrets: ['secret-key'],
  async open(settings) {
    const accessKey = settings['access-key'];
    const secretKey = await readSecret(settings);
    const { ChunkStore } = await import('../s3/chunk_store.js');
    return ChunkStore.open({
      endpoint: settings.endpoint,
      // The SDK wants one; version 2 does not sign it.
      region: 'us-east-1',
      bucket: settings.bucket,
      prefix: settings.prefix,
      accessKey,
      secretKey,
      pathStyle: true,
      timeoutSeconds: settings['timeout-seconds'],
      signer: signerV2(accessKey, secretKey),
      dialect: riakcsDialect,
    });
  },
  traitsWhileAway: () => traitsOf(riakcsDialect),
});
