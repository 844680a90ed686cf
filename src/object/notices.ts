/**
 * Changes of objects that somebody outside is to hear of. A notice is written in the very transaction that makes the change, and
 * removed when its receiver has taken it: whatever dies in between, it is told at least once.
 *
 * What waits is bounded. A notice that finds no room is not written, and the change is made all the same.
 */
import type { Catalog, CatalogEntry, Write } from '../catalog/catalog.js';
import { idOfKey } from '../catalog/keys.js';
import {
  decodeNotice,
  encodeNotice,
  noticeKey,
  noticePrefix,
  noticesPrefix,
  type NoticeKind,
  type NoticeRecord,
} from '../catalog/notice_record.js';
import type { BucketRecord } from '../catalog/object_records.js';
import { isSkerryError, toSkerryError } from '../core/errors.js';
import type { IdAllocator } from '../mapper/id_allocator.js';

/** Of each receiver, keys of the catalog included. A notice has 400 bytes or so. */
const waiting_bytes_max = 64 * 1024 * 1024;
/** A notice that could not be told for longer is given up. */
export const notice_milliseconds_max = 24 * 3600 * 1000;
const notices_per_read_max = 1000;

/** Who asked for a change; '' what nobody knows. */
export interface Cause {
  readonly requester: string;
  /** Of the network. */
  readonly address: string;
  readonly requestId: string;
}

export const noCause: Cause = { requester: '', address: '', requestId: '' };

export interface Change extends Pick<NoticeRecord, 'kind' | 'key' | 'versionId' | 'bytes' | 'etag'> {
  readonly bucket: BucketRecord;
  readonly cause: Cause;
}

/** One rule of a bucket that a change meets, and who is to hear of it. */
export interface Subscription {
  readonly receiver: string;
  readonly rule: string;
}

export interface Notice {
  readonly id: number;
  readonly record: NoticeRecord;
}

/** What is to be written with a change; `made` is called when that is durable. */
export interface Noticed {
  readonly writes: readonly Write[];
  readonly made: () => void;
}

export interface Waiting {
  readonly notices: number;
  readonly bytes: number;
}

export interface NoticesSettings {
  /** By name; notices for others are not written. */
  readonly receivers: readonly string[];
  /** Rules of the bucket that the change meets. */
  readonly subscriptions: (bucket: BucketRecord, kind: NoticeKind, key: string) => Promise<readonly Subscription[]>;
  /** Notices that nobody will hear of, and why in words. */
  readonly onDropped: (receiver: string, notices: number, why: string) => void;
  /** For tests. */
  readonly bytesMax?: number;
}

export interface NoticesOptions extends NoticesSettings {
  readonly catalog: Catalog;
  readonly ids: Pick<IdAllocator, 'next'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

interface Queue {
  notices: number;
  bytes: number;
  coming: PromiseWithResolvers<void>;
}

const nothing: Noticed = { writes: [], made: () => undefined };

export class Notices {
  readonly #options: NoticesOptions;
  readonly #queues: ReadonlyMap<string, Queue>;

  constructor(options: NoticesOptions) {
    this.#options = options;
    this.#queues = new Map(
      options.receivers.map((name) => [name, { notices: 0, bytes: 0, coming: Promise.withResolvers<void>() }]),
    );
  }

  /** Once, before any other: counts what earlier lives left. What waits for a receiver that is no more goes when it is too old. */
  async open(): Promise<void> {
    const { catalog, now } = this.#options;
    for (let after: string | undefined; ; ) {
      const page = await catalog.range(noticePrefix, {
        entriesMax: notices_per_read_max,
        ...(after === undefined ? {} : { after }),
      });
      const old: CatalogEntry[] = [];
      for (const entry of page) {
        const queue = this.#queues.get(receiverOf(entry));
        if (queue !== undefined) count(queue, 1, bytesOf(entry));
        else if (now() - decodeNotice(entry.value).at > notice_milliseconds_max) old.push(entry);
      }
      if (old.length > 0)
        await catalog.transact(
          [],
          old.map(({ key }) => ({ key, value: null })),
        );
      for (const [receiver, entries] of Map.groupBy(old, receiverOf))
        this.#options.onDropped(receiver, entries.length, 'there is no such webhook any more');
      after = page.at(-1)?.key;
      if (page.length < notices_per_read_max) return;
    }
  }

  /** Never keeps the change from being made: what cannot be told of is dropped. @throws SkerryError of the catalog's counter */
  async of(change: Change): Promise<Noticed> {
    if (this.#queues.size === 0) return nothing;
    const subscriptions = await this.#subscriptions(change);
    const noticed = await Promise.all(subscriptions.map((subscription) => this.#noticeFor(change, subscription)));
    return { writes: noticed.flatMap(({ writes }) => writes), made: () => noticed.forEach(({ made }) => made()) };
  }

  /** What a receiver is told when it is named in the rule of a bucket. */
  async test(bucket: BucketRecord, subscription: Subscription, cause: Cause): Promise<void> {
    const change = { kind: 'test', bucket, key: '', versionId: '', bytes: 0, etag: '', cause } as const;
    const { writes, made } = await this.#noticeFor(change, subscription);
    await this.#options.catalog.transact([], writes);
    made();
  }

  /** The oldest that wait for a receiver, after that of id `after`. */
  async page(receiver: string, after: number | null, noticesMax: number): Promise<readonly Notice[]> {
    const page = await this.#options.catalog.range(noticesPrefix(receiver), {
      entriesMax: noticesMax,
      ...(after === null ? {} : { after: noticeKey(receiver, after) }),
    });
    return page.map(({ key, value }) => ({ id: idOfKey(key), record: decodeNotice(value) }));
  }

  /** Of those that need not be told any more. */
  async remove(receiver: string, notices: readonly Notice[]): Promise<void> {
    if (notices.length === 0) return;
    await this.#options.catalog.transact(
      [],
      notices.map(({ id }) => ({ key: noticeKey(receiver, id), value: null })),
    );
    const queue = this.#queues.get(receiver);
    if (queue === undefined) return;
    const bytes = notices.reduce(
      (sum, { id, record }) => sum + bytesOf({ key: noticeKey(receiver, id), value: encodeNotice(record) }),
      0,
    );
    count(queue, -notices.length, -bytes);
  }

  /** By receiver. */
  waiting(): ReadonlyMap<string, Waiting> {
    return new Map([...this.#queues].map(([receiver, { notices, bytes }]) => [receiver, { notices, bytes }]));
  }

  /** Resolves when a notice comes that was not there at the call, or at wake(). */
  coming(receiver: string): Promise<void> {
    return this.#queues.get(receiver)?.coming.promise ?? Promise.resolve();
  }

  wake(receiver: string): void {
    const queue = this.#queues.get(receiver);
    if (queue === undefined) return;
    const { coming } = queue;
    queue.coming = Promise.withResolvers<void>();
    coming.resolve();
  }

  async #subscriptions({ bucket, kind, key }: Change): Promise<readonly Subscription[]> {
    try {
      return await this.#options.subscriptions(bucket, kind, key);
    } catch (error) {
      // A bucket that has gone is met by who changes something in it.
      if (!isSkerryError(error, 'not-found'))
        this.#options.onDropped('', 1, `the rules of bucket ${bucket.name} cannot be read: ${toSkerryError(error).message}`);
      return [];
    }
  }

  async #noticeFor({ bucket, cause, ...change }: Change, { receiver, rule }: Subscription): Promise<Noticed> {
    const { ids, now, onDropped, bytesMax = waiting_bytes_max } = this.#options;
    const queue = this.#queues.get(receiver);
    if (queue === undefined)
      return { writes: [], made: () => onDropped(receiver, 1, `bucket ${bucket.name} names it, and there is no such webhook`) };
    const record: NoticeRecord = { ...change, ...cause, rule, bucket: bucket.name, account: bucket.account, at: now() };
    const write = { key: noticeKey(receiver, await ids.next()), value: encodeNotice(record) };
    if (queue.bytes + bytesOf(write) > bytesMax)
      return { writes: [], made: () => onDropped(receiver, 1, `notices of ${bytesMax} bytes wait for it already`) };
    const made = (): void => {
      count(queue, 1, bytesOf(write));
      this.wake(receiver);
    };
    return { writes: [write], made };
  }
}

function receiverOf({ key }: Pick<CatalogEntry, 'key'>): string {
  return key.slice(noticePrefix.length, key.lastIndexOf('/'));
}

function bytesOf({ key, value }: Pick<CatalogEntry, 'key' | 'value'>): number {
  return key.length + value.length;
}

function count(queue: Queue, notices: number, bytes: number): void {
  queue.notices = Math.max(0, queue.notices + notices);
  queue.bytes = Math.max(0, queue.bytes + bytes);
}
