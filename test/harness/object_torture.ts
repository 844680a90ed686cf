/**
 * Clients of an S3 endpoint that is killed under them: each works on keys of its own, and knows of every key what it may hold. What was
 * acknowledged is what is there; of what was under way at a kill it is either what was before or what came after, and whole. In a bucket with
 * versions each that was acknowledged is there, too.
 */
import { createCipheriv, createHash } from 'node:crypto';

import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type S3Client,
} from '@aws-sdk/client-s3';

/** Of contents: their SHA-256, and null for an object that is not there. */
type Content = string | null;

const part_bytes = 5 << 20;
const sizes = [0, 1, 4000, 65_536, 200_000, 1 << 20, 3_000_001];
const keys_per_client = 6;
const absent: ReadonlySet<Content> = new Set([null]);

/** Of a version that was acknowledged; a marker has no ETag. */
interface Version {
  readonly key: string;
  readonly etag: string | null;
}

/** What answers say of the version that came to be. */
interface Made {
  readonly VersionId?: string | undefined;
  readonly ETag?: string | undefined;
  readonly CopyObjectResult?: { readonly ETag?: string | undefined } | undefined;
}

export interface ObjectTortureOptions {
  readonly bucket: string;
  readonly clients: number;
  /** From 0 to 1, repeatable. */
  readonly random: () => number;
}

export class ObjectTorture {
  readonly #options: ObjectTortureOptions;
  /** More than one while an operation's outcome is not known. */
  readonly #may = new Map<string, ReadonlySet<Content>>();
  readonly #versions = new Map<string, Version>();
  #seed = 1;
  acknowledged = 0;

  constructor(options: ObjectTortureOptions) {
    this.#options = options;
  }

  /** Works until the endpoint is gone. */
  async work(s3: S3Client): Promise<void> {
    const { clients } = this.#options;
    await Promise.all(Array.from({ length: clients }, (_, client) => this.#client(s3, client)));
  }

  /** What is wrong, in words; what was in doubt is known afterwards. */
  async check(s3: S3Client): Promise<string[]> {
    const wrong: string[] = [];
    const listed = new Map<string, number>();
    for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket: this.#options.bucket }))
      for (const { Key = '', Size = -1 } of Contents) listed.set(Key, Size);
    for (const [key, may] of this.#may) {
      const content = await this.#read(s3, key);
      if (!may.has(content?.sum ?? null)) wrong.push(`${key} holds ${content?.bytes ?? 'nothing'}, and may not`);
      if (listed.get(key) !== content?.bytes) wrong.push(`${key} is listed with ${listed.get(key)}, and has ${content?.bytes}`);
      this.#may.set(key, new Set([content?.sum ?? null]));
    }
    for (const key of listed.keys()) if (!this.#may.has(key)) wrong.push(`${key} came from nowhere`);
    return [...wrong, ...(await this.#checkVersions(s3))];
  }

  /** Puts what is there, as `check` has found it, where nothing is yet. @returns how many objects */
  async copyTo(from: S3Client, to: S3Client): Promise<number> {
    const Bucket = this.#options.bucket;
    let copied = 0;
    for (const [Key, [content]] of this.#may) {
      if (content === null) continue;
      const { Body } = await from.send(new GetObjectCommand({ Bucket, Key }));
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array(0);
      await to.send(new PutObjectCommand({ Bucket, Key, Body: bytes }));
      copied += 1;
    }
    return copied;
  }

  /** With all versions. */
  async removeObjects(s3: S3Client): Promise<void> {
    const Bucket = this.#options.bucket;
    for (const { key: Key, version: VersionId } of await this.#listedVersions(s3))
      await s3.send(new DeleteObjectCommand({ Bucket, Key, VersionId }));
  }

  async abortUploads(s3: S3Client): Promise<void> {
    const Bucket = this.#options.bucket;
    for (;;) {
      const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
      if (Uploads.length === 0) return;
      for (const { Key, UploadId } of Uploads) await s3.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }));
    }
  }

  async #client(s3: S3Client, client: number): Promise<void> {
    const { random } = this.#options;
    const key = (): string => `client-${client}/${Math.floor(random() * keys_per_client)}`;
    try {
      for (;;) {
        const dice = random();
        if (dice < 0.5) await this.#put(s3, key());
        else if (dice < 0.65) await this.#copy(s3, key(), key());
        else if (dice < 0.75) await this.#change(key(), null, (at) => s3.send(new DeleteObjectCommand(at)));
        else if (dice < 0.8) await this.#removeTwo(s3, key(), key());
        else if (dice < 0.9) await this.#upload(s3, key());
        else if (dice < 0.95) await this.#uploadCopies(s3, key());
        else await this.#giveUp(s3, key());
      }
    } catch (error) {
      // Only the end of the daemon ends it: an answer would have a status.
      if (
        error instanceof Error &&
        '$metadata' in error &&
        (error.$metadata as { httpStatusCode?: number }).httpStatusCode !== undefined
      )
        throw error;
    }
  }

  async #put(s3: S3Client, key: string): Promise<void> {
    const body = this.#body(sizes[Math.floor(this.#options.random() * sizes.length)] ?? 0);
    await this.#change(key, sumOf(body), (at) => s3.send(new PutObjectCommand({ ...at, Body: body })));
  }

  async #copy(s3: S3Client, from: string, to: string): Promise<void> {
    const [content = null] = this.#may.get(from) ?? absent;
    if (content === null || from === to) return;
    const CopySource = `${this.#options.bucket}/${from}`;
    await this.#change(to, content, (at) => s3.send(new CopyObjectCommand({ ...at, CopySource })));
  }

  async #upload(s3: S3Client, key: string): Promise<void> {
    const at = { Bucket: this.#options.bucket, Key: key };
    const bodies = [this.#body(part_bytes), this.#body(70_000)];
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(at));
    const Parts = await Promise.all(
      bodies.map(async (Body, index) => {
        const PartNumber = index + 1;
        const { ETag } = await s3.send(new UploadPartCommand({ ...at, UploadId, PartNumber, Body }));
        return { ETag, PartNumber };
      }),
    );
    await this.#change(key, sumOf(Buffer.concat(bodies)), () =>
      s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } })),
    );
  }

  /** Of parts that are copies of ranges of one object. */
  async #uploadCopies(s3: S3Client, key: string): Promise<void> {
    const at = { Bucket: this.#options.bucket, Key: key };
    const from = `${key}/source`;
    const body = this.#body(part_bytes + 70_000);
    await this.#change(from, sumOf(body), (source) => s3.send(new PutObjectCommand({ ...source, Body: body })));
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(at));
    // At a bound of blocks and at none.
    const ranges = [[65_536, 65_536 + part_bytes] as const, [1001, 70_000] as const];
    const Parts = await Promise.all(
      ranges.map(async ([first, end], index) => {
        const CopySource = `${at.Bucket}/${from}`;
        const PartNumber = index + 1;
        const CopySourceRange = `bytes=${first}-${end - 1}`;
        const copied = await s3.send(new UploadPartCopyCommand({ ...at, UploadId, PartNumber, CopySource, CopySourceRange }));
        return { ETag: copied.CopyPartResult?.ETag, PartNumber };
      }),
    );
    const whole = Buffer.concat(ranges.map(([first, end]) => body.subarray(first, end)));
    await this.#change(key, sumOf(whole), () =>
      s3.send(new CompleteMultipartUploadCommand({ ...at, UploadId, MultipartUpload: { Parts } })),
    );
  }

  /** Changes nothing that can be read. */
  async #giveUp(s3: S3Client, key: string): Promise<void> {
    const at = { Bucket: this.#options.bucket, Key: key };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(at));
    await s3.send(new UploadPartCommand({ ...at, UploadId, PartNumber: 1, Body: this.#body(200_000) }));
    await s3.send(new AbortMultipartUploadCommand({ ...at, UploadId }));
    this.acknowledged += 1;
  }

  async #removeTwo(s3: S3Client, one: string, other: string): Promise<void> {
    const keys = [...new Set([one, other])];
    for (const key of keys) this.#may.set(key, new Set([...(this.#may.get(key) ?? absent), null]));
    const Delete = { Objects: keys.map((Key) => ({ Key })) };
    const { Deleted = [], Errors = [] } = await s3.send(new DeleteObjectsCommand({ Bucket: this.#options.bucket, Delete }));
    if (Errors.length > 0) throw new Error(`not removed: ${JSON.stringify(Errors)}`);
    for (const { Key = '', DeleteMarkerVersionId } of Deleted) {
      this.#may.set(Key, absent);
      this.#know(Key, { VersionId: DeleteMarkerVersionId });
      this.acknowledged += 1;
    }
  }

  async #change(
    key: string,
    after: Content,
    change: (at: { readonly Bucket: string; readonly Key: string }) => Promise<Made>,
  ): Promise<void> {
    const before = this.#may.get(key) ?? absent;
    this.#may.set(key, new Set([...before, after]));
    this.#know(key, await change({ Bucket: this.#options.bucket, Key: key }));
    this.#may.set(key, new Set([after]));
    this.acknowledged += 1;
  }

  #know(key: string, { VersionId, ETag, CopyObjectResult }: Made): void {
    if (VersionId !== undefined) this.#versions.set(VersionId, { key, etag: ETag ?? CopyObjectResult?.ETag ?? null });
  }

  async #checkVersions(s3: S3Client): Promise<string[]> {
    if (this.#versions.size === 0) return [];
    const listed = new Map((await this.#listedVersions(s3)).map((each) => [each.version, each]));
    return [...this.#versions].flatMap(([version, { key, etag }]) => {
      const found = listed.get(version);
      if (found?.key === key && found.etag === etag) return [];
      return [`version ${version} of ${key} has ETag ${found?.etag}, and was acknowledged with ${etag}`];
    });
  }

  async #listedVersions(s3: S3Client): Promise<(Version & { readonly version: string })[]> {
    const found: (Version & { readonly version: string })[] = [];
    const take = (key = '', version = '', etag: string | null = null): void => void found.push({ key, version, etag });
    for (let markers = {}; ; ) {
      const page = await s3.send(new ListObjectVersionsCommand({ Bucket: this.#options.bucket, ...markers }));
      for (const { Key, VersionId, ETag } of page.Versions ?? []) take(Key, VersionId, ETag);
      for (const { Key, VersionId } of page.DeleteMarkers ?? []) take(Key, VersionId);
      if (page.IsTruncated !== true) return found;
      markers = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
    }
  }

  async #read(s3: S3Client, key: string): Promise<{ readonly sum: string; readonly bytes: number } | null> {
    try {
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: this.#options.bucket, Key: key }));
      const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array(0);
      return { sum: sumOf(bytes), bytes: bytes.length };
    } catch (error) {
      if (error instanceof Error && error.name === 'NoSuchKey') return null;
      throw error;
    }
  }

  /** Of no other object. */
  #body(bytes: number): Buffer {
    this.#seed += 1;
    const cipher = createCipheriv('aes-128-ctr', createHash('md5').update(String(this.#seed)).digest(), Buffer.alloc(16));
    return cipher.update(Buffer.alloc(bytes));
  }
}

function sumOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
