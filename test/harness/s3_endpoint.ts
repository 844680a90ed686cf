/** An S3 server with real accounts, over an object layer in memory: what a daemon serves, without its disks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';

import { Identity } from '../../src/identity/identity.ts';
import type { NewAccessKey } from '../../src/identity/access_keys.ts';
import { Access } from '../../src/northbound/s3/access.ts';
import { Authenticator } from '../../src/northbound/s3/authenticator.ts';
import { subscriptionsTo } from '../../src/northbound/s3/notification_document.ts';
import { S3Server, type S3ServerOptions } from '../../src/northbound/s3/s3_server.ts';
import type { NoticesSettings } from '../../src/object/notices.ts';
import type { ObjectLayer } from '../../src/object/object_layer.ts';
import { QuotaMeter } from '../../src/object/quota_meter.ts';
import { ObjectWorld } from './object_world.ts';

export class S3Endpoint {
  readonly identity: Identity;
  readonly world: ObjectWorld;
  /** HOST:PORT. */
  readonly address: string;
  /** Failures of the server itself, which a test expects none of. */
  readonly complaints: string[];
  readonly server: S3Server;
  readonly #directory: string;
  readonly #clients: S3Client[] = [];

  private constructor(parts: {
    identity: Identity;
    world: ObjectWorld;
    address: string;
    complaints: string[];
    server: S3Server;
    directory: string;
  }) {
    this.identity = parts.identity;
    this.world = parts.world;
    this.address = parts.address;
    this.complaints = parts.complaints;
    this.server = parts.server;
    this.#directory = parts.directory;
  }

  /** `partBytesMin`: of parts of uploads but the last; else that of S3. `webhooks`: that notices wait for; `of-NAME` is for one account only. Beside them what the server is told: limits, a certificate. */
  static async start({
    partBytesMin = 5 << 20,
    webhooks = [],
    ...more
  }: Partial<S3ServerOptions> & {
    readonly partBytesMin?: number;
    readonly webhooks?: readonly string[];
  } = {}): Promise<S3Endpoint> {
    const directory = mkdtempSync(join(tmpdir(), 'skerry-s3-'));
    const world = new ObjectWorld();
    const complaints: string[] = [];
    const log = (level: string, message: string, fields: unknown = {}): void => {
      if (level === 'error') complaints.push(`${message} ${JSON.stringify(fields)}`);
    };
    const { catalog } = world;
    const holds = async (): Promise<null> => null;
    const identity = await Identity.open({ catalog, dataDirectory: directory, now: Date.now, holds, usageDays: 1, log });
    const notices = (buckets: ObjectLayer['buckets']): NoticesSettings => ({
      receivers: webhooks,
      subscriptions: (bucket, kind, key) => subscriptionsTo(buckets, bucket.name, kind, key),
      onDropped: (webhook, count, why) => complaints.push(`${count} notices for ${webhook}: ${why}`),
    });
    await world.start({ notices, meter: new QuotaMeter({ quotas: identity.quotas, log }), now: Date.now, partBytesMin });
    const region = 'us-east-1';
    const authenticator = new Authenticator({
      region,
      version2: true,
      credentials: (accessKey) => identity.keys.byAccessKey(accessKey),
    });
    const access = new Access({ buckets: world.layer.buckets });
    const { accounts } = identity;
    const named = webhooks.map((name) => ({ name, accounts: name.startsWith('of-') ? [name.slice(3)] : null }));
    const { layer } = world;
    const services = {
      store: layer,
      notices: layer.notices,
      webhooks: named,
      access,
      accounts,
      authenticator,
      region,
      pool: 'default',
      now: Date.now,
    };
    const server = new S3Server({ services, domains: ['s3.test'], log, ...more });
    const address = await server.listen('127.0.0.1', 0);
    return new S3Endpoint({ identity, world, address, complaints, server, directory });
  }

  /** An account with a key of its root user. */
  async account(name: string): Promise<NewAccessKey> {
    await this.identity.accounts.create(name);
    return this.identity.keys.create(name);
  }

  /** null: one that signs nothing. */
  client(key: NewAccessKey | null, more: S3ClientConfig = {}): S3Client {
    const client = new S3Client({
      endpoint: `http://${this.address}`,
      region: 'us-east-1',
      forcePathStyle: true,
      maxAttempts: 1,
      ...(key === null
        ? { credentials: { accessKeyId: 'none', secretAccessKey: 'none' }, signer: { sign: async (request) => request } }
        : { credentials: { accessKeyId: key.accessKey, secretAccessKey: key.secretKey } }),
      ...more,
    });
    this.#clients.push(client);
    return client;
  }

  async stop(): Promise<void> {
    for (const client of this.#clients) client.destroy();
    await this.server.close();
    await this.identity.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
