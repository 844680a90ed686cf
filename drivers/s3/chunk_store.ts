/**
 * Chunks as objects of an S3 bucket. An object appears whole or not at all, and is durable when the server says it has
 * taken it; what servers differ in is declared by a dialect.
 */
import { Readable } from 'node:stream';

import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type GetObjectCommandOutput,
  type S3Client,
} from '@aws-sdk/client-s3';

import { isSkerryError, SkerryError } from '../../src/core/errors.js';
import { CallsUnderWay } from '../../src/driver/calls_under_way.js';
import { chunkKey, keyIfChunk, type ChunkKey, type ChunkStat, type Driver, type DriverTraits } from '../../src/driver/driver.js';
import { Connection, type ConnectionOptions, type RequestOptions } from './connection.js';
import { chunk_bytes_max, in_flight_max, traitsOf, type Dialect } from './dialect.js';
import { isAbsence, isBareAbsence, isPastEnd, isTaken } from './failure.js';
import { part_bytes, parts_in_flight_max, removeStaleUploads, uploadInParts } from './upload.js';

/** A larger chunk goes in parts. */
const single_put_bytes_max = 2 * part_bytes;
/** What a put that never ended left behind is removed once it is older. */
const upload_age_milliseconds_max = 3_600_000;
const list_page_keys = 1000;

export interface ChunkStoreOptions extends Omit<ConnectionOptions, 'socketsMax'> {
  /** Of all objects' names: empty, or ends with a slash. */
  readonly prefix: string;
  readonly dialect: Dialect;
  /** Keys that one request lists. */
  readonly listPageKeys?: number;
}

interface Page {
  readonly chunks: readonly ChunkStat[];
  /** Where the next page begins; undefined after the last. */
  readonly next: string | undefined;
}

export class ChunkStore implements Driver {
  readonly traits: DriverTraits;
  readonly #connection: Connection;
  readonly #prefix: string;
  readonly #dialect: Dialect;
  readonly #pageKeys: number;
  readonly #calls: CallsUnderWay;

  private constructor(options: ChunkStoreOptions) {
    this.#connection = new Connection({ ...options, socketsMax: in_flight_max * parts_in_flight_max });
    this.#calls = new CallsUnderWay(`the driver of ${this.#connection.place}`);
    this.#prefix = options.prefix;
    this.#dialect = options.dialect;
    this.#pageKeys = options.listPageKeys ?? list_page_keys;
    this.traits = traitsOf(options.dialect);
  }

  /** Of a bucket that is there. @throws SkerryError where it cannot be listed */
  static async open(options: ChunkStoreOptions): Promise<ChunkStore> {
    const store = new ChunkStore(options);
    try {
      await store.#findBucket('the pool cannot be opened');
      await store.#removeStale();
    } catch (error) {
      await store.close();
      throw error;
    }
    return store;
  }

  put(key: ChunkKey, data: Uint8Array): Promise<void> {
    return this.#run(async () => {
      const doing = `chunk ${key} cannot be written`;
      try {
        await this.#send(key, data, doing);
      } catch (error) {
        // A server that is full says so before it looks whether the chunk is there.
        const taken = isSkerryError(error) && isTaken(error.cause);
        if (!taken && !isSkerryError(error, 'no-space')) throw error;
        if (await this.#isThere(key, data)) return;
        if (!taken) throw error;
        throw new SkerryError('try-again', `${doing}: it was put by another, and is gone`, { cause: error });
      }
    });
  }

  get(key: ChunkKey, offset: number, into: Uint8Array): Promise<number | null> {
    return this.#run(async () => {
      // No range has no bytes.
      if (into.length === 0) return (await this.#stat(key)) === null ? null : 0;
      const Range = `bytes=${offset}-${offset + into.length - 1}`;
      const asking = { doing: `chunk ${key} cannot be read`, bytes: into.length };
      return this.#connection.ask(asking, async (client, options) => {
        try {
          const answer = await this.#getObject(client, options, { Key: this.#nameOf(key), Range });
          if (answer === null) return null;
          return await readFully(answer, into.subarray(0, bytesOfRange(answer, offset, into.length)));
        } catch (error) {
          if (isPastEnd(error)) return 0;
          throw error;
        }
      });
    });
  }

  stat(key: ChunkKey): Promise<ChunkStat | null> {
    return this.#run(() => this.#stat(key));
  }

  remove(key: ChunkKey): Promise<void> {
    return this.#run(async () => {
      const command = new DeleteObjectCommand({ Bucket: this.#connection.bucket, Key: this.#nameOf(key) });
      await this.#connection.ask({ doing: `chunk ${key} cannot be removed` }, async (client, options) => {
        try {
          await client.send(command, options);
        } catch (error) {
          if (!isAbsence(error)) throw error;
        }
      });
    });
  }

  async *list(prefix: string): AsyncGenerator<ChunkStat> {
    let from: string | undefined;
    do {
      const page = await this.#run(() => this.#list(prefix, from, this.#pageKeys, `chunks under ${prefix} cannot be listed`));
      yield* page.chunks;
      from = page.next;
    } while (from !== undefined);
  }

  async close(): Promise<void> {
    await this.#calls.close(() => this.#connection.close());
  }

  async #send(key: ChunkKey, data: Uint8Array, doing: string): Promise<void> {
    const name = this.#nameOf(key);
    if (data.length > chunk_bytes_max)
      throw new SkerryError('too-large', `chunk ${key} has ${data.length} bytes, at most ${chunk_bytes_max} are taken`);
    const condition = this.#dialect.conditionalPut ? { IfNoneMatch: '*' } : {};
    if (data.length > single_put_bytes_max) {
      // Not every server that honours the condition does so where an upload is completed; and parts are dear.
      if (this.#dialect.conditionalPut && (await this.#isThere(key, data))) return;
      await uploadInParts(this.#connection, name, data, { doing, condition });
      return;
    }
    const command = new PutObjectCommand({ Bucket: this.#connection.bucket, Key: name, Body: data, ...condition });
    await this.#connection.ask({ doing, bytes: data.length }, (client, options) => client.send(command, options));
  }

  async #stat(key: ChunkKey): Promise<ChunkStat | null> {
    const command = new HeadObjectCommand({ Bucket: this.#connection.bucket, Key: this.#nameOf(key) });
    const doing = `chunk ${key} cannot be looked at`;
    const found = await this.#connection.ask({ doing }, async (client, options) => {
      try {
        return await client.send(command, options);
      } catch (error) {
        if (isBareAbsence(error)) return null;
        throw error;
      }
    });
    if (found !== null) return { key, bytes: found.ContentLength ?? 0 };
    // Or there is no such bucket.
    await this.#findBucket(doing);
    return null;
  }

  /** True if the chunk is there with these bytes. @throws SkerryError exists where it has others. */
  async #isThere(key: ChunkKey, data: Uint8Array): Promise<boolean> {
    const asking = { doing: `chunk ${key} cannot be compared`, bytes: data.length };
    const same = await this.#connection.ask(asking, async (client, options) => {
      const answer = await this.#getObject(client, options, { Key: this.#nameOf(key) });
      if (answer === null) return null;
      return answer.ContentLength === data.length && (await isSame(answer, data));
    });
    if (same === false) throw new SkerryError('exists', `chunk ${key} is there with other bytes`);
    return same === true;
  }

  /** null where there is no such object. */
  async #getObject(
    client: S3Client,
    options: RequestOptions,
    what: { readonly Key: string; readonly Range?: string },
  ): Promise<GetObjectCommandOutput | null> {
    try {
      return await client.send(new GetObjectCommand({ Bucket: this.#connection.bucket, ...what }), options);
    } catch (error) {
      if (isAbsence(error)) return null;
      throw error;
    }
  }

  async #list(prefix: string, from: string | undefined, MaxKeys: number, doing: string): Promise<Page> {
    const where = { Bucket: this.#connection.bucket, Prefix: this.#prefix + prefix, MaxKeys };
    const answer = await this.#connection.ask({ doing }, async (client, options) => {
      if (this.#dialect.listing === 'v1') {
        const marked = from === undefined ? where : { ...where, Marker: from };
        const { Contents = [], IsTruncated } = await client.send(new ListObjectsCommand(marked), options);
        return { Contents, IsTruncated, next: Contents.at(-1)?.Key };
      }
      const continued = from === undefined ? where : { ...where, ContinuationToken: from };
      const {
        Contents = [],
        IsTruncated,
        NextContinuationToken,
      } = await client.send(new ListObjectsV2Command(continued), options);
      return { Contents, IsTruncated, next: NextContinuationToken };
    });
    if (answer.IsTruncated === true && answer.next === undefined)
      throw new SkerryError('io', `${doing}: the server cut a list off and did not say where`);
    const chunks: ChunkStat[] = [];
    for (const { Key = '', Size = 0 } of answer.Contents) {
      const key = keyIfChunk(Key.slice(this.#prefix.length));
      if (key !== null) chunks.push({ key, bytes: Size });
    }
    return { chunks, next: answer.IsTruncated === true ? answer.next : undefined };
  }

  /** @throws SkerryError not-found where there is no such bucket */
  async #findBucket(doing: string): Promise<void> {
    await this.#list('', undefined, 1, doing);
  }

  async #removeStale(): Promise<void> {
    const before = new Date(Date.now() - upload_age_milliseconds_max);
    // The pool serves without: a key may lack the right to do this, and a server the verb.
    await removeStaleUploads(this.#connection, this.#prefix, before).catch(() => undefined);
  }

  #nameOf(key: ChunkKey): string {
    return this.#prefix + chunkKey(key);
  }

  /** What is thrown says already what failed. */
  #run<T>(work: () => Promise<T>): Promise<T> {
    return this.#calls.run(work, (error) => error);
  }
}

/** Bytes of the answer's body that belong to a read of `length` from `offset`. @throws SkerryError where it answers something else */
function bytesOfRange(answer: GetObjectCommandOutput, offset: number, length: number): number {
  const { ContentRange, ContentLength = 0 } = answer;
  const [, first, last] = /^bytes (\d+)-(\d+)\//.exec(ContentRange ?? '') ?? [];
  if (first === undefined || last === undefined) {
    // A server may answer with the whole object; some do where it is empty.
    if (offset === 0 || ContentLength === 0) return Math.min(ContentLength, length);
    throw new SkerryError('unsupported', 'the server does not read parts of objects');
  }
  const bytes = Number(last) - Number(first) + 1;
  if (Number(first) !== offset || bytes > length)
    throw new SkerryError('io', `the server sent ${ContentRange}, not what was asked for`);
  return bytes;
}

/** Fills all of `into`. @throws SkerryError io where the body is shorter */
async function readFully({ Body }: GetObjectCommandOutput, into: Uint8Array): Promise<number> {
  let done = 0;
  for await (const part of partsOf(Body)) {
    const wanted = part.subarray(0, into.length - done);
    into.set(wanted, done);
    done += wanted.length;
    if (wanted.length < part.length) break;
  }
  if (done < into.length) throw new SkerryError('io', `the answer ended after ${done} of ${into.length} bytes`);
  return done;
}

async function isSame({ Body }: GetObjectCommandOutput, data: Uint8Array): Promise<boolean> {
  let done = 0;
  for await (const part of partsOf(Body)) {
    if (Buffer.compare(part, data.subarray(done, done + part.length)) !== 0) return false;
    done += part.length;
  }
  if (done < data.length) throw new SkerryError('io', `the answer ended after ${done} of ${data.length} bytes`);
  return true;
}

function partsOf(body: GetObjectCommandOutput['Body']): AsyncIterable<Uint8Array> {
  if (body === undefined) return Readable.from([]);
  if (!(body instanceof Readable)) throw new SkerryError('internal', 'the body of an answer is no stream of node');
  return body;
}
