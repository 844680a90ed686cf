/** An object layer over a catalog and shelves in memory, that can lose power and be started again, and be audited. */
import { decodeId } from '../../src/catalog/keys.ts';
import { extentKey, knownKey, orderOf, splitKey, type ShelfPlace } from '../../src/catalog/object_keys.ts';
import { decodeBodyParts, decodeObject, decodePart, type Segment } from '../../src/catalog/object_records.ts';
import { decodeExtent, decodeKnown } from '../../src/catalog/shelf_records.ts';
import type { SkerryError } from '../../src/core/errors.ts';
import { page_bytes } from '../../src/core/limits.ts';
import { ObjectLayer, type ObjectLayerOptions } from '../../src/object/object_layer.ts';
import type { ShelfEngine } from '../../src/object/shelf_writer.ts';
import { MemoryCatalog } from './memory_catalog.ts';

type Change = { readonly shelf: number; readonly page: number; readonly bytes: Uint8Array | null };

/** Pages of shelves. What was written since the last flush may be lost with the power, from some write on. */
export class MemoryShelves implements ShelfEngine {
  /** Thrown by the next writes, one each. */
  readonly faults: SkerryError[] = [];
  /** By the next reads. */
  readonly readFaults: SkerryError[] = [];
  writes = 0;
  reads = 0;
  #pages = new Map<string, Uint8Array>();
  #durable = new Map<string, Uint8Array>();
  #unflushed: Change[][] = [];
  #over = false;

  /** Whoever writes now is dead. */
  freeze(): void {
    this.#over = true;
  }

  thaw(): void {
    this.#over = false;
  }

  async read(shelf: number, offset: number, wanted: number | Uint8Array): Promise<Uint8Array> {
    this.reads += 1;
    await Promise.resolve();
    const fault = this.readFaults.shift();
    if (fault !== undefined) throw fault;
    const into = typeof wanted === 'number' ? new Uint8Array(wanted) : wanted.fill(0);
    const { length } = into;
    for (let at = 0; at < length; ) {
      const within = (offset + at) % page_bytes;
      const take = Math.min(page_bytes - within, length - at);
      const page = this.#pages.get(`${shelf} ${(offset + at - within) / page_bytes}`);
      if (page !== undefined) into.set(page.subarray(within, within + take), at);
      at += take;
    }
    return into;
  }

  async write(shelf: number, offset: number, data: Uint8Array | number): Promise<void> {
    const fault = this.faults.shift();
    if (fault !== undefined) {
      await Promise.resolve();
      throw fault;
    }
    if (this.#over) return new Promise(() => undefined);
    this.writes += 1;
    const length = typeof data === 'number' ? data : data.length;
    if (offset % page_bytes !== 0 || length % page_bytes !== 0 || length === 0) throw new Error('not whole pages');
    const first = offset / page_bytes;
    const changes: Change[] = [];
    if (typeof data === 'number') {
      for (const key of this.#pages.keys()) {
        const [of, page] = key.split(' ').map(Number) as [number, number];
        if (of === shelf && page >= first && page < first + length / page_bytes) changes.push({ shelf, page, bytes: null });
      }
    } else {
      for (let at = 0; at < length; at += page_bytes)
        changes.push({ shelf, page: first + at / page_bytes, bytes: Uint8Array.from(data.subarray(at, at + page_bytes)) });
    }
    for (const change of changes) apply(this.#pages, change);
    this.#unflushed.push(changes);
    await Promise.resolve();
  }

  async flush(): Promise<void> {
    const flushed = this.#unflushed.length;
    await Promise.resolve();
    if (this.#over) return new Promise(() => undefined);
    for (const changes of this.#unflushed.splice(0, flushed)) for (const change of changes) apply(this.#durable, change);
  }

  /** Of what was not flushed, the first `kept` writes are there. */
  losePower(kept: number): void {
    for (const changes of this.#unflushed.slice(0, kept)) for (const change of changes) apply(this.#durable, change);
    this.#unflushed = [];
    this.#over = false;
    this.#pages = new Map(this.#durable);
  }

  get unflushed(): number {
    return this.#unflushed.length;
  }

  /** Shelf and page of each that is not trimmed. */
  get pages(): readonly (readonly [number, number])[] {
    return [...this.#pages.keys()].map((key) => key.split(' ').map(Number) as [number, number]);
  }
}

export class ObjectWorld {
  readonly catalog = new MemoryCatalog();
  readonly shelves = new MemoryShelves();
  /** Of each shelf that was made. */
  readonly places = new Map<number, ShelfPlace>();
  now = Date.UTC(2026, 0, 1);
  layer!: ObjectLayer;
  #shelf = 0;

  static async open(options: Partial<ObjectLayerOptions> = {}): Promise<ObjectWorld> {
    const world = new ObjectWorld();
    await world.start(options);
    return world;
  }

  /** Another life over what is there. */
  async start(options: Partial<ObjectLayerOptions> = {}): Promise<void> {
    this.layer = await ObjectLayer.open({
      catalog: this.catalog,
      engine: this.shelves,
      shelves: {
        make: async (place, also) => {
          this.#shelf += 1;
          this.places.set(this.#shelf, place);
          await this.catalog.transact([], also(this.#shelf));
          return this.#shelf;
        },
      },
      log: () => undefined,
      now: () => this.now,
      partBytesMin: 1,
      domainKeys: async (account) => new Uint8Array(32).fill(account),
      ...options,
    });
  }

  /** What is wrong, after everything was taken back that can be: owners that are not, bytes that nobody owns. */
  async audit(): Promise<readonly string[]> {
    const wrong: string[] = [];
    const owners = new Map<string, number>();
    const count = (segments: readonly Segment[]): void => {
      for (const { shelf, extent } of segments) {
        const key = extentKey(shelf, extent);
        owners.set(key, (owners.get(key) ?? 0) + 1);
      }
    };
    const chains = new Set<string>();
    for (const { key, value } of await this.catalog.range('object/')) {
      splitKey(`${key.split('/').slice(0, 2).join('/')}/`, key);
      const { id, body } = decodeObject(value);
      for (const part of body.parts) count(part.segments);
      if (body.chain.length > 0) chains.add(id.toString(16).padStart(16, '0'));
    }
    for (const { value } of await this.catalog.range('upload-part/')) count(decodePart(value).part.segments);
    for (const { key, value } of await this.catalog.range('object-body/')) {
      if (!chains.has(key.split('/')[1] ?? '')) wrong.push(`${key} belongs to no object`);
      for (const part of decodeBodyParts(value)) count(part.segments);
    }
    const pages = new Set<string>();
    const known = new Map((await this.catalog.range('known/')).map(({ key, value }) => [key, decodeKnown(value)]));
    for (const { key, value } of await this.catalog.range('extent/')) {
      const { bytes, owners: recorded, sum } = decodeExtent(value);
      if (sum !== undefined) {
        const place = known.get(knownKey(sum));
        if (place === undefined || extentKey(place.shelf, place.offset) !== key)
          wrong.push(`the sum of ${key} does not lead to it`);
        known.delete(knownKey(sum));
      }
      if (recorded !== (owners.get(key) ?? 0)) wrong.push(`${key} has ${recorded} owners, and ${owners.get(key) ?? 0} are there`);
      owners.delete(key);
      const [, shelf, offset] = key.split('/').map((part) => Number.parseInt(part, 16));
      for (let at = 0; at < bytes; at += page_bytes) pages.add(`${shelf} ${((offset ?? 0) + at) / page_bytes}`);
    }
    for (const key of known.keys()) wrong.push(`${key} leads to no extent that has this sum`);
    for (const key of owners.keys()) wrong.push(`${key} is named, and not there`);
    for (const [shelf, page] of this.shelves.pages)
      if (!pages.has(`${shelf} ${page}`)) wrong.push(`page ${page} of shelf ${shelf} is nobody's`);
    for (const { key, value } of await this.catalog.range('object-null/')) {
      const [, bucket, encoded] = key.split('/');
      const at = `object/${bucket}/${encoded}!${orderOf(decodeId(value))}`;
      if ((await this.catalog.get(at)) === null) wrong.push(`${key} leads to no version`);
    }
    for (const key of this.catalog.keys('released/')) wrong.push(`${key} is not taken back`);
    return wrong;
  }
}

function apply(pages: Map<string, Uint8Array>, { shelf, page, bytes }: Change): void {
  if (bytes === null) pages.delete(`${shelf} ${page}`);
  else pages.set(`${shelf} ${page}`, bytes);
}

export async function* once(data: Uint8Array | string, piece = 100_000): AsyncGenerator<Uint8Array> {
  const bytes = typeof data === 'string' ? new TextEncoder().encode(data) : data;
  for (let at = 0; at < bytes.length; at += piece) yield bytes.subarray(at, at + piece);
}

/** All that it yields. */
export async function gather(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

/** Bytes that no other seed gives. */
export function pattern(bytes: number, seed: number): Uint8Array {
  const data = new Uint8Array(bytes);
  let state = seed * 2_654_435_761 + 1;
  for (let at = 0; at < bytes; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0;
    data[at] = (state >>> 24) | 1;
  }
  return data;
}
