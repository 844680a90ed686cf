/** Real servers for pools to rest on, each with how it is made to fall silent. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3';

import { Service } from '../services/service.ts';

export interface Backend {
  readonly driver: string;
  /** Of a pool in an empty place of this name. */
  settings(place: string): Readonly<Record<string, string>>;
  /** It answers nobody any more, and breaks no connection. */
  pause(): Promise<void>;
  goOn(): Promise<void>;
  stop(): Promise<void>;
}

export async function startRados(): Promise<Backend> {
  const ceph = await Service.start('ceph');
  return {
    driver: 'rados',
    settings: (namespace) => ({
      conf: ceph.value('CEPH_CONF'),
      keyring: ceph.value('CEPH_KEYRING'),
      user: ceph.value('CEPH_USER'),
      pool: ceph.value('CEPH_POOL'),
      namespace,
    }),
    pause: () => ceph.signal('osd0', 'SIGSTOP'),
    goOn: () => ceph.signal('osd0', 'SIGCONT'),
    stop: () => ceph.stop(),
  };
}

export async function startGluster(): Promise<Backend> {
  // As it is by default. A client that waits less takes a brick for gone that only waits for a processor.
  const gluster = await Service.start('gluster', { GLUSTER_PING: '42' });
  return {
    driver: 'gluster',
    settings: (place) => ({
      host: gluster.value('GLUSTER_HOST'),
      port: gluster.value('GLUSTER_PORT'),
      volume: gluster.value('GLUSTER_VOLUME'),
      directory: `/${place}`,
    }),
    pause: () => gluster.signal('brick0', 'SIGSTOP'),
    goOn: () => gluster.signal('brick0', 'SIGCONT'),
    stop: () => gluster.stop(),
  };
}

export async function startNfs(): Promise<Backend> {
  const nfs = await Service.start('nfs');
  return {
    driver: 'nfs',
    settings: (place) => {
      mkdirSync(join(nfs.value('NFS_EXPORT_DIR'), place));
      return { url: nfs.value('NFS_URL_V3').replace('/export/', `/export/${place}`) };
    },
    pause: () => nfs.signal('ganesha', 'SIGSTOP'),
    goOn: () => nfs.signal('ganesha', 'SIGCONT'),
    stop: () => nfs.stop(),
  };
}

export async function startS3(): Promise<Backend> {
  const bucket = 'skerry';
  const gateway = await Service.start('radosgw');
  const endpoint = gateway.value('S3_ENDPOINT');
  const accessKeyId = gateway.value('S3_ACCESS_KEY');
  const secretAccessKey = gateway.value('S3_SECRET_KEY');
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
  await client.send(new CreateBucketCommand({ Bucket: bucket }));
  client.destroy();
  return {
    driver: 's3',
    settings: (prefix) => ({ endpoint, bucket, prefix, 'access-key': accessKeyId, 'secret-key': secretAccessKey }),
    pause: () => gateway.signal('rgw', 'SIGSTOP'),
    goOn: () => gateway.signal('rgw', 'SIGCONT'),
    stop: () => gateway.stop(),
  };
}

/** For the command line: `--set key=value ...`. */
export function setWords(settings: Readonly<Record<string, string>>): string[] {
  return Object.entries(settings).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
}
