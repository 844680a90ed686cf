/**
 * How much was asked for and moved, per account and bucket, in slices of an hour. Counted in memory, where it costs a look-up, and
 * written each minute: a killed daemon loses at most that. What is written is the sum of the hour, so writing it twice is as once.
 */
import type { Catalog, Write } from '../catalog/catalog.js';
import { usageHourPrefix, usageKey, usageOfAccountPrefix, usagePrefix } from '../catalog/keys.js';
import {
  decodeUsageSlice,
  encodeUsageSlice,
  operationClasses,
  statusClasses,
  type OperationClass,
  type StatusClass,
  type StoredSample,
  type UsageSliceRecord,
} from '../catalog/usage_records.js';
import { SkerryError } from '../core/errors.js';
import type { Amount } from './counted.js';

export const hour_milliseconds = 3_600_000;
/** In memory at once, of 600 bytes of numbers each: past them requests count for their account, under no bucket. */
const slices_max = 16_384;
const writes_max = 16_384;
/** Of one answer: 92 days. */
export const hours_per_report_max = 92 * 24;

export interface UsedRequest {
  readonly operation: OperationClass;
  readonly status: StatusClass;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface UsageOptions {
  readonly catalog: Catalog;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** What every bucket holds: looked at with each flush. */
  readonly stored: () => Iterable<{ readonly account: number; readonly bucket: string; readonly stored: Amount }>;
  /** How long slices are kept. */
  readonly days: number;
}

/** Requests, bytes in and bytes out of each operation with each status. */
const numbers_per_cell = 3;

interface Slice {
  readonly hour: number;
  readonly account: number;
  readonly bucket: string;
  readonly numbers: Float64Array;
  stored: StoredSample | null;
  uniqueBytes: number | null;
  /** Not all of it is in the catalog. */
  changed: boolean;
}

export class Usage {
  readonly #options: UsageOptions;
  /** Of the current hour, and of one before that is not written yet. By account, then by bucket. */
  #hour = 0;
  #current = new Map<number, Map<string, Slice>>();
  #before: Slice[] = [];
  #size = 0;
  #removedBefore = 0;

  private constructor(options: UsageOptions) {
    this.#options = options;
  }

  /** Goes on with the hour that was begun. @throws SkerryError of the catalog, corrupt */
  static async open(options: UsageOptions): Promise<Usage> {
    const usage = new Usage(options);
    usage.#turn();
    for (const { value } of await options.catalog.range(usageHourPrefix(usage.#hour))) {
      const record = decodeUsageSlice(value);
      const slice = usage.#add(record.account, record.bucket);
      for (const { operation, status, requests, bytesIn, bytesOut } of record.cells)
        slice.numbers.set([requests, bytesIn, bytesOut], placeOf(operation, status));
      slice.stored = record.stored;
      slice.uniqueBytes = record.uniqueBytes;
    }
    return usage;
  }

  /** `bucket`: one that exists, or '' for a request that is about none. */
  record(account: number, bucket: string, { operation, status, bytesIn, bytesOut }: UsedRequest): void {
    this.#turn();
    const slice = this.#slice(account, bucket);
    const { numbers } = slice;
    const place = placeOf(operation, status);
    numbers[place] = (numbers[place] ?? 0) + 1;
    numbers[place + 1] = (numbers[place + 1] ?? 0) + bytesIn;
    numbers[place + 2] = (numbers[place + 2] ?? 0) + bytesOut;
    slice.changed = true;
  }

  /** What the blocks of an account take that are distinct, in bytes, all its buckets together: they share what is the same. */
  noteUnique(account: number, bytes: number): void {
    this.#turn();
    const slice = this.#slice(account, '');
    if (slice.uniqueBytes === bytes) return;
    slice.uniqueBytes = bytes;
    slice.changed = true;
  }

  /**
   * Looks at what is stored, writes what is not written, and removes what is too old. One at a time.
   * @throws SkerryError of the catalog; the next one writes it then
   */
  async flush(): Promise<void> {
    this.#turn();
    this.#sample();
    const changed = [...this.#before, ...this.#slices()].filter((slice) => slice.changed);
    for (let at = 0; at < changed.length; at += writes_max) {
      const part = changed.slice(at, at + writes_max);
      const writes = part.map((slice): Write => {
        slice.changed = false;
        return { key: usageKey(slice.hour, slice.account, slice.bucket), value: encodeUsageSlice(recordOf(slice)) };
      });
      try {
        await this.#options.catalog.transact([], writes);
      } catch (error) {
        for (const slice of part) slice.changed = true;
        // The hour may have turned meanwhile, and left out what looked written.
        const left = part.filter((slice) => slice.hour !== this.#hour && !this.#before.includes(slice));
        this.#before.push(...left);
        throw error;
      }
    }
    this.#before = this.#before.filter((slice) => slice.changed);
    await this.#removeOld();
  }

  /**
   * Of an account, the hours that begin from `from` (milliseconds since 1970) on and before `to`, ordered by hour and bucket; as of now.
   * After the hour in which there are `slicesMax` of them, `next` says where to go on.
   * @throws SkerryError invalid for more hours than there is an answer for
   */
  async read(
    account: number,
    {
      from,
      to,
      slicesMax = Number.POSITIVE_INFINITY,
    }: { readonly from: number; readonly to: number; readonly slicesMax?: number },
  ): Promise<{ readonly slices: UsageSliceRecord[]; readonly next: number | null }> {
    const first = Math.ceil(from / hour_milliseconds) * hour_milliseconds;
    if ((to - first) / hour_milliseconds > hours_per_report_max)
      throw new SkerryError('invalid', `at most ${hours_per_report_max / 24} days of usage are told at once`);
    const slices: UsageSliceRecord[] = [];
    for (let hour = first; hour < to; hour += hour_milliseconds) {
      if (slices.length >= slicesMax) return { slices, next: hour };
      slices.push(...(await this.#readHour(account, hour)));
    }
    return { slices, next: null };
  }

  async #readHour(account: number, hour: number): Promise<UsageSliceRecord[]> {
    const found = new Map<string, UsageSliceRecord>();
    for (const { value } of await this.#options.catalog.range(usageOfAccountPrefix(hour, account))) {
      const record = decodeUsageSlice(value);
      found.set(record.bucket, record);
    }
    const current = this.#current.get(account)?.values() ?? [];
    for (const slice of [...this.#before, ...current])
      if (slice.account === account && slice.hour === hour) found.set(slice.bucket, recordOf(slice));
    return [...found.values()].sort((a, b) => (a.bucket < b.bucket ? -1 : 1));
  }

  /** A new hour begins with nothing. */
  #turn(): void {
    const now = this.#options.now();
    // A clock that is set back goes on with the hour that was begun.
    if (now < this.#hour + hour_milliseconds) return;
    this.#before.push(...[...this.#slices()].filter((slice) => slice.changed));
    this.#current = new Map();
    this.#size = 0;
    this.#hour = Math.floor(now / hour_milliseconds) * hour_milliseconds;
  }

  #slice(account: number, bucket: string): Slice {
    const buckets = this.#current.get(account);
    const found = buckets?.get(bucket);
    if (found !== undefined) return found;
    if (this.#size < slices_max) return this.#add(account, bucket);
    return buckets?.get('') ?? this.#add(account, '');
  }

  #add(account: number, bucket: string): Slice {
    let buckets = this.#current.get(account);
    if (buckets === undefined) {
      buckets = new Map();
      this.#current.set(account, buckets);
    }
    const numbers = new Float64Array(operationClasses.length * statusClasses.length * numbers_per_cell);
    const slice = { hour: this.#hour, account, bucket, numbers, stored: null, uniqueBytes: null, changed: false };
    buckets.set(bucket, slice);
    this.#size += 1;
    return slice;
  }

  *#slices(): Iterable<Slice> {
    for (const buckets of this.#current.values()) yield* buckets.values();
  }

  #sample(): void {
    const seen = new Set<Slice>();
    for (const { account, bucket, stored } of this.#options.stored()) {
      const slice = this.#slice(account, bucket);
      if (slice.bucket !== bucket) continue;
      seen.add(slice);
      sampled(slice, stored);
    }
    // A bucket that held something and is empty, or gone, now.
    for (const slice of this.#slices()) if (slice.stored !== null && !seen.has(slice)) sampled(slice, { bytes: 0, objects: 0 });
  }

  async #removeOld(): Promise<void> {
    const { catalog, days } = this.#options;
    const oldest = this.#hour - days * 24 * hour_milliseconds;
    // Once an hour, and at the start.
    if (this.#removedBefore === oldest) return;
    for (;;) {
      const entries = await catalog.range(usagePrefix, { entriesMax: writes_max });
      const old = entries.filter(({ key }) => key < usageHourPrefix(oldest));
      if (old.length > 0)
        await catalog.transact(
          [],
          old.map(({ key }) => ({ key, value: null })),
        );
      if (old.length < writes_max) break;
    }
    this.#removedBefore = oldest;
  }
}

/** Only a change is written; the first look of an hour is one. */
function sampled(slice: Slice, { bytes, objects }: Amount): void {
  const before = slice.stored;
  const [now, count] = [Math.max(bytes, 0), Math.max(objects, 0)];
  if (before !== null && before.bytes === now && before.objects === count) return;
  slice.stored = {
    bytes: now,
    objects: count,
    bytesMax: Math.max(now, before?.bytesMax ?? 0),
    objectsMax: Math.max(count, before?.objectsMax ?? 0),
  };
  slice.changed = true;
}

function placeOf(operation: OperationClass, status: StatusClass): number {
  return (operationClasses.indexOf(operation) * statusClasses.length + statusClasses.indexOf(status)) * numbers_per_cell;
}

function recordOf({ hour, account, bucket, numbers, stored, uniqueBytes }: Slice): UsageSliceRecord {
  const cells = operationClasses.flatMap((operation) =>
    statusClasses.flatMap((status) => {
      const place = placeOf(operation, status);
      const [requests = 0, bytesIn = 0, bytesOut = 0] = numbers.subarray(place, place + numbers_per_cell);
      return requests === 0 ? [] : [{ operation, status, requests, bytesIn, bytesOut }];
    }),
  );
  return { hour, account, bucket, cells, stored, uniqueBytes };
}
