/** What serves objects, put together: the object layer over the engine, its upkeep, and S3 on top. */
import { createSecureContext } from 'node:tls';

import type { Catalog } from '../catalog/catalog.js';
import { isSkerryError, toSkerryError } from '../core/errors.js';
import { sumsElsewhere } from '../engine/body_sums.js';
import type { Engine } from '../engine/engine.js';
import { domainOfAccount, type Account } from '../identity/accounts.js';
import type { Identity } from '../identity/identity.js';
import type { Ledger } from '../mapper/ledger.js';
import { Assemblies } from '../mapper/assemblies.js';
import { FrozenShelves } from '../mapper/frozen_shelves.js';
import type { KeyedLocks } from '../mapper/locks.js';
import type { Mapper } from '../mapper/mapper.js';
import { readPools, type PoolVerbs } from '../mapper/pool_verbs.js';
import { Shelves } from '../mapper/shelves.js';
import { Access } from '../northbound/s3/access.js';
import { AuditLog } from '../northbound/s3/audit_log.js';
import { Authenticator } from '../northbound/s3/authenticator.js';
import { eventMessage } from '../northbound/s3/event_message.js';
import { lifecycleRules } from '../northbound/s3/lifecycle_document.js';
import { subscriptionsTo } from '../northbound/s3/notification_document.js';
import type { RequestRecord } from '../northbound/s3/request_record.js';
import { countRequest } from '../northbound/s3/request_usage.js';
import { S3Server, type S3Certificate } from '../northbound/s3/s3_server.js';
import { ImageObjects } from '../object/image_objects.js';
import type { DomainKeys } from '../object/known_bodies.js';
import { ObjectDisks } from '../object/object_disks.js';
import { ObjectLayer, type ObjectLayerOptions } from '../object/object_layer.js';
import { Publications } from '../object/publications.js';
import { QuotaMeter } from '../object/quota_meter.js';
import { Deliveries, type DeliveryCounts } from '../upkeep/deliveries.js';
import { DroppedNotices } from '../upkeep/dropped_notices.js';
import { ObjectUpkeep } from '../upkeep/object_upkeep.js';
import type { Webhook } from '../upkeep/webhook.js';
import type { Config } from './config.js';
import { logOf, type Log, type Logger } from './logging.js';
import { TlsFiles } from './tls_files.js';
import { readWebhooks } from './webhooks.js';

/** Between runs that take back room of what was removed. */
const take_back_milliseconds = 5000;
/** Between looks whether the files of the certificate changed. */
const certificate_look_milliseconds = 5000;

export interface ObjectServiceOptions {
  readonly config: Config;
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly engine: Engine;
  readonly pools: PoolVerbs;
  readonly identity: Identity;
  readonly locks: KeyedLocks;
  readonly mapper: Mapper;
  readonly logger: Logger;
  /** A root chunk is due. */
  readonly onUpkeep: () => void;
  /** Room that objects took is given back. */
  readonly onTrim: () => void;
  readonly onRequest: (record: RequestRecord) => void;
  readonly onDelivery: (webhook: string, counts: Partial<DeliveryCounts>) => void;
}

export class ObjectService {
  readonly layer: ObjectLayer;
  readonly disks: ObjectDisks;
  readonly publications: Publications;
  readonly imageObjects: ImageObjects;
  readonly #options: ObjectServiceOptions;
  readonly #log: Log;
  readonly #upkeep: ObjectUpkeep;
  readonly #deliveries: Deliveries;

  private constructor(options: ObjectServiceOptions, layer: ObjectLayer, frozen: FrozenShelves, webhooks: readonly Webhook[]) {
    this.#options = options;
    this.layer = layer;
    const { mapper } = options;
    const assemblies = new Assemblies({ ...options, removal: mapper.removal, log: logOf(options.logger, 'objects') });
    this.disks = new ObjectDisks({ buckets: layer.buckets, objects: layer.objects, assemblies, resources: mapper });
    const { pools, logger } = options;
    const { buckets, listing, published } = layer;
    const defaultPool = pools.defaultName;
    this.publications = new Publications({
      ...options,
      buckets,
      listing,
      published,
      frozen,
      defaultPool,
      log: logOf(logger, 'objects'),
    });
    this.imageObjects = new ImageObjects({
      ...options,
      buckets,
      published,
      frozen,
      accounts: options.identity.accounts,
      account: options.config.s3ImagesAccount ?? null,
      defaultPool,
      log: logOf(logger, 'objects'),
    });
    this.#log = logOf(options.logger, 's3');
    this.#upkeep = new ObjectUpkeep({
      layer,
      rulesOf: ({ name }) => lifecycleRules(layer.buckets, name),
      log: logOf(options.logger, 'objects'),
      takeBackMilliseconds: take_back_milliseconds,
      lifecycleMilliseconds: options.config.s3LifecycleSeconds * 1000,
    });
    this.#deliveries = new Deliveries({
      webhooks,
      notices: layer.notices,
      messageOf: async (id, notice) =>
        eventMessage(id, notice, { region: options.config.s3Region, owner: await this.#canonicalId(notice.account) }),
      log: logOf(options.logger, 'webhooks'),
      onCounts: options.onDelivery,
      now: Date.now,
    });
  }

  /** When the engine is started. @throws SkerryError of the catalog */
  static async open(options: ObjectServiceOptions): Promise<ObjectService> {
    const { catalog, ledger, engine, pools, identity, logger, onUpkeep, onTrim } = options;
    const log = logOf(logger, 'objects');
    const shelves = new Shelves({ catalog, ledger, engine, pools, onUpkeep });
    const meter = new QuotaMeter({ quotas: identity.quotas, log });
    const frozen = new FrozenShelves(options);
    const webhooks = await readWebhooks(options.config.s3Webhooks);
    const dropped = new DroppedNotices({ log: logOf(logger, 'webhooks'), now: Date.now });
    const notices: ObjectLayerOptions['notices'] = (buckets) => ({
      receivers: webhooks.map(({ name }) => name),
      subscriptions: ({ name }, kind, key) => subscriptionsTo(buckets, name, kind, key),
      onDropped: (webhook, count, why) => {
        dropped.add(webhook, count, why);
        options.onDelivery(webhook, { dropped: count });
      },
    });
    const destage = (shelf: number) => engine.destage(shelf);
    const domainKeys = domainKeysOf(identity);
    const parts = { catalog, engine, shelves, log, meter, frozen, destage, onTrim, notices, domainKeys };
    const layer = await ObjectLayer.open({ ...parts, blockDomain: domainOfAccount, sums: sumsElsewhere });
    return new ObjectService(options, layer, frozen, webhooks);
  }

  /** From here on what was removed is taken back, and rules of lifecycle are kept. */
  async start(): Promise<void> {
    this.#upkeep.start();
    this.#deliveries.start();
    await this.publications.start();
    await this.imageObjects.start();
  }

  /** When nothing is asked of objects any more. */
  async stop(): Promise<void> {
    await this.imageObjects.stop();
    await this.publications.stop();
    await this.#upkeep.stop();
    await this.#deliveries.stop();
    await this.layer.stop();
  }

  /** What is in an account, in words; null: nothing. */
  async holds({ id }: Account): Promise<string | null> {
    const { buckets } = await this.layer.buckets.list(id, { bucketsMax: 2 });
    const [first] = buckets;
    if (first === undefined) return null;
    return buckets.length === 1 ? `bucket ${first.name}` : `bucket ${first.name} and others`;
  }

  /** @returns where S3 is served, and what ends that; null where it is not. @throws SkerryError that says what to do */
  async serveS3(): Promise<{ readonly address: string; readonly close: () => Promise<void> } | null> {
    const { s3Listen, s3Pool } = this.#options.config;
    if (s3Listen === null) return null;
    const pools = await readPools(this.#options.catalog);
    if (!pools.some(({ name }) => name === s3Pool))
      this.#log('error', `there is no pool ${s3Pool}, of s3Pool: objects of new buckets cannot be stored before it is made`);
    const audit = await this.#openAudit();
    const certificate = await this.#openCertificate();
    const server = this.#makeServer(audit, certificate?.material ?? null);
    const closeCertificate = certificate?.follow(server) ?? (() => undefined);
    const close = async (): Promise<void> => {
      closeCertificate();
      await server.close();
      await audit?.close();
    };
    try {
      const address = await server.listen(s3Listen.host, s3Listen.port);
      this.#log('info', `S3 is served ${certificate === null ? 'without encryption' : 'over TLS'}`, { address });
      return { address, close };
    } catch (error) {
      await close();
      throw error;
    }
  }

  #makeServer(audit: AuditLog | null, certificate: S3Certificate | null): S3Server {
    const { config, identity, onRequest } = this.#options;
    const { layer } = this;
    const { s3Region: region, s3Pool: pool, s3Domains: domains } = config;
    const { accounts, keys, usage } = identity;
    const version2 = config.s3SignatureVersion2 === 'accepted';
    const authenticator = new Authenticator({ region, version2, credentials: (accessKey) => keys.byAccessKey(accessKey) });
    const access = new Access({ buckets: layer.buckets });
    const webhooks = Object.entries(config.s3Webhooks).map(([name, { accounts = null }]) => ({ name, accounts }));
    return new S3Server({
      services: { store: layer, notices: layer.notices, webhooks, access, accounts, authenticator, region, pool, now: Date.now },
      domains,
      log: this.#log,
      limits: {
        bufferBytesMax: config.s3BufferBytesMax,
        requestsPerSecond: config.s3RequestsPerSecond,
        bytesPerSecond: config.s3BytesPerSecond,
      },
      ...(certificate === null ? {} : { tls: certificate }),
      onRequest: (record) => {
        onRequest(record);
        audit?.add(record);
        if (record.principal !== null) keys.noteUse(record.principal.accessKey);
        void countRequest({ usage, buckets: layer.buckets }, record);
      },
    });
  }

  /** '' where there is no such account any more. */
  async #canonicalId(account: number): Promise<string> {
    try {
      return (await this.#options.identity.accounts.get(account)).canonicalId;
    } catch (error) {
      if (isSkerryError(error, 'not-found')) return '';
      throw error;
    }
  }

  async #openAudit(): Promise<AuditLog | null> {
    const { s3AuditLog: path } = this.#options.config;
    if (path === undefined) return null;
    try {
      return await AuditLog.open({ path, log: this.#log });
    } catch (error) {
      throw toSkerryError(error, `the audit log ${path}, of s3AuditLog, cannot be written`);
    }
  }

  async #openCertificate() {
    const { s3Tls: paths } = this.#options.config;
    if (paths === null) return null;
    let use = (_material: S3Certificate): void => undefined;
    let material: S3Certificate = { certificate: '', key: '' };
    const files = new TlsFiles({
      service: 'S3',
      paths,
      log: this.#log,
      use: ({ certificate, key }) => {
        createSecureContext({ cert: certificate, key });
        material = { certificate, key };
        use(material);
      },
    });
    await files.load();
    const follow = (server: S3Server): (() => void) => {
      use = (changed) => server.useCertificate(changed);
      const timer = setInterval(() => void files.refresh(), certificate_look_milliseconds).unref();
      return () => clearInterval(timer);
    };
    return { material, follow };
  }
}

/** Where an account's key cannot be had, what it stores is stored whatever is there. */
function domainKeysOf({ accounts }: Identity): DomainKeys {
  return async (account) => {
    try {
      return (await accounts.secrets(account)).domainKey;
    } catch (error) {
      if (isSkerryError(error, 'not-found', 'unavailable', 'corrupt')) return null;
      throw error;
    }
  };
}
