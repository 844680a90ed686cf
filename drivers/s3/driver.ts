/** Chunks in a bucket of AWS or of any server that speaks S3 with signature version 4. */
import { z } from 'zod';

import { registerDriver } from '../../src/driver/registry.js';
import { traitsOf, type Dialect } from './dialect.js';
import { bucketSettings, endpointSetting, hasOneSecret, oneSecretMessage, readSecret } from './settings.js';

function dialectOf(settings: { readonly 'conditional-put': 'on' | 'off' }): Dialect {
  return { listing: 'v2', conditionalPut: settings['conditional-put'] === 'on', listsLate: false };
}

export const s3Driver = registerDriver({
  name: 's3',
  description: 'Chunks as objects in a bucket of AWS S3, Ceph, MinIO, Garage or another server that speaks S3',
  settings: z
    .strictObject({
      ...bucketSettings,
      endpoint: endpointSetting.optional(),
      region: z.string().min(1).default('us-east-1'),
      addressing: z.enum(['path', 'host']).optional(),
      /** off: the server does not honour If-None-Match, so that a taken key is not refused. */
      'conditional-put': z.enum(['on', 'off']).default('on'),
    })
    .refine(hasOneSecret, oneSecretMessage),
  secrets: ['secret-key'],
  async open(settings) {
    const secretKey = await readSecret(settings);
    // With import(), so that only who has such a pool pays for the SDK.
    const { ChunkStore } = await import('./chunk_store.js');
    return ChunkStore.open({
      endpoint: settings.endpoint,
      region: settings.region,
      bucket: settings.bucket,
      prefix: settings.prefix,
      accessKey: settings['access-key'],
      secretKey,
      pathStyle: (settings.addressing ?? (settings.endpoint === undefined ? 'host' : 'path')) === 'path',
      timeoutSeconds: settings['timeout-seconds'],
      dialect: dialectOf(settings),
    });
  },
  traitsWhileAway: (settings) => traitsOf(dialectOf(settings)),
});
