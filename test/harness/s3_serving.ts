/** A real daemon that serves S3, and an account there whose key clients use. */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

import type { NewKeyView } from '../../src/api/shapes.js';
import { DaemonProcess } from './daemon_process.ts';
import { smallSettings } from './small_settings.ts';

export interface Serving {
  readonly daemon: DaemonProcess;
  readonly endpoint: string;
  readonly key: NewKeyView;
}

/** `config`: settings of the daemon, beside the small ones. The account is `alice`. */
export async function serving(config: Readonly<Record<string, unknown>> = {}): Promise<Serving> {
  const daemon = new DaemonProcess({ config: { ...smallSettings, ...config } });
  await daemon.start();
  await daemon.ok('account', 'create', 'alice');
  const key = await daemon.json<NewKeyView>('key', 'create', 'alice');
  const scheme = config['s3TlsCertificate'] === undefined ? 'http' : 'https';
  return { daemon, endpoint: `${scheme}://${daemon.ready?.listeners['s3']}`, key };
}

/** The SDK for JavaScript, which does not try again. */
export function sdkClient({ endpoint, key }: Pick<Serving, 'endpoint' | 'key'>, options: S3ClientConfig = {}): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    maxAttempts: 1,
    credentials: { accessKeyId: key.accessKey, secretAccessKey: key.secretKey },
    ...options,
  });
}
