/**
 * Objects that rules of lifecycle end, among others that they do not, in a bucket that keeps versions and in one that does not. All of a
 * batch are there before the rule that ends them is.
 */
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  ListObjectVersionsCommand,
  paginateListObjectsV2,
  PutBucketLifecycleConfigurationCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type DeleteMarkerEntry,
  type LifecycleRule,
  type ObjectVersion,
  type S3Client,
} from '@aws-sdk/client-s3';

/** Of every so many objects one stays. */
const staying_share = 6;
const at_once = 8;

export interface EndingObjectsOptions {
  readonly plain: string;
  readonly versioned: string;
  /** Of a batch, in each bucket. */
  readonly objects: number;
}

export class EndingObjects {
  readonly #options: EndingObjectsOptions;
  #batches = 0;

  constructor(options: EndingObjectsOptions) {
    this.#options = options;
  }

  get #buckets(): readonly string[] {
    return [this.#options.plain, this.#options.versioned];
  }

  async makeBuckets(s3: S3Client): Promise<void> {
    for (const Bucket of this.#buckets) await s3.send(new CreateBucketCommand({ Bucket }));
    const VersioningConfiguration = { Status: 'Enabled' as const };
    await s3.send(new PutBucketVersioningCommand({ Bucket: this.#options.versioned, VersioningConfiguration }));
  }

  /** Puts a batch, and sets the rules by which most of it ends now. */
  async begin(s3: S3Client): Promise<void> {
    this.#batches += 1;
    const keys = keysOf(this.#batches, this.#options.objects);
    const lane = async (Bucket: string, Key: string): Promise<unknown> =>
      s3.send(new PutObjectCommand({ Bucket, Key, Body: bodyOf(Key) }));
    for (let first = 0; first < keys.length; first += at_once) {
      const some = keys.slice(first, first + at_once);
      await Promise.all(this.#buckets.flatMap((bucket) => some.map((key) => lane(bucket, key))));
    }
    const Rules = Array.from({ length: this.#batches }, (_, batch) => endingRule(`${batch + 1}/ending/`));
    for (const Bucket of this.#buckets)
      await s3.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration: { Rules } }));
  }

  /** Resolves when at least one of the batch has ended. @returns how many have not */
  async someEnded(s3: S3Client): Promise<number> {
    const prefix = `${this.#batches}/ending/`;
    const all = keysOf(this.#batches, this.#options.objects).filter(isEnding).length * this.#buckets.length;
    for (;;) {
      const left = (await Promise.all(this.#buckets.map((bucket) => listed(s3, bucket, prefix)))).flat().length;
      if (left < all) return left;
    }
  }

  /** How many are there that are to end. */
  async left(s3: S3Client): Promise<number> {
    const names = (await Promise.all(this.#buckets.map((bucket) => listed(s3, bucket, '')))).flat();
    return names.filter(isEnding).length;
  }

  /** What is wrong, in words: all that stays is whole, and so is what has not ended yet. */
  async check(s3: S3Client): Promise<string[]> {
    const wrong: string[] = [];
    for (const bucket of this.#buckets) {
      for (const key of this.#keys()) {
        const body = await read(s3, { Bucket: bucket, Key: key });
        if (body === null ? !isEnding(key) : body !== bodyOf(key)) wrong.push(`${bucket}/${key} is ${body ?? 'gone'}`);
      }
    }
    return wrong;
  }

  /** The same of versions: under one delete marker, and no more, is what ended. */
  async checkVersions(s3: S3Client): Promise<string[]> {
    const wrong: string[] = [];
    const { versioned: Bucket } = this.#options;
    const { versions, markers } = await versionsOf(s3, Bucket);
    for (const key of this.#keys()) {
      const own = versions.filter(({ Key }) => Key === key);
      const hiding = markers.filter(({ Key }) => Key === key);
      if (own.length !== 1 || hiding.length !== (isEnding(key) ? 1 : 0))
        wrong.push(`${key} has ${own.length} versions and ${hiding.length} delete markers`);
      const body = await read(s3, { Bucket, Key: key, VersionId: own[0]?.VersionId ?? '' });
      if (body !== bodyOf(key)) wrong.push(`the version of ${key} is ${body ?? 'gone'}`);
    }
    return wrong;
  }

  /** Removes all versions of all objects. */
  async clear(s3: S3Client): Promise<void> {
    for (const Bucket of this.#buckets) {
      const { versions, markers } = await versionsOf(s3, Bucket);
      const all = [...versions, ...markers].map(({ Key, VersionId }) => ({ Key, VersionId }));
      for (let first = 0; first < all.length; first += 1000)
        await s3.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects: all.slice(first, first + 1000), Quiet: true } }));
    }
  }

  #keys(): readonly string[] {
    return Array.from({ length: this.#batches }, (_, batch) => keysOf(batch + 1, this.#options.objects)).flat();
  }
}

function keysOf(batch: number, objects: number): readonly string[] {
  return Array.from({ length: objects }, (_, at) => `${batch}/${at % staying_share === 0 ? 'staying' : 'ending'}/${at}`);
}

function isEnding(key: string): boolean {
  return key.includes('/ending/');
}

/** Of no other object. */
function bodyOf(key: string): string {
  return `${key} `.repeat(300);
}

/** By a day that has been: days of age cannot be hurried. */
function endingRule(prefix: string): LifecycleRule {
  return { ID: prefix, Status: 'Enabled', Filter: { Prefix: prefix }, Expiration: { Date: new Date('2020-01-01T00:00:00Z') } };
}

async function listed(s3: S3Client, Bucket: string, Prefix: string): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { Contents = [] } of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix }))
    keys.push(...Contents.map(({ Key = '' }) => Key));
  return keys;
}

interface AllVersions {
  readonly versions: readonly ObjectVersion[];
  readonly markers: readonly DeleteMarkerEntry[];
}

async function versionsOf(s3: S3Client, Bucket: string): Promise<AllVersions> {
  const versions: ObjectVersion[] = [];
  const markers: DeleteMarkerEntry[] = [];
  for (let from: { KeyMarker?: string | undefined; VersionIdMarker?: string | undefined } = {}; ; ) {
    const page = await s3.send(new ListObjectVersionsCommand({ Bucket, ...from }));
    versions.push(...(page.Versions ?? []));
    markers.push(...(page.DeleteMarkers ?? []));
    if (page.IsTruncated !== true) return { versions, markers };
    from = { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker };
  }
}

/** null: it is not there. */
async function read(
  s3: S3Client,
  place: { readonly Bucket: string; readonly Key: string; readonly VersionId?: string },
): Promise<string | null> {
  try {
    const { Body } = await s3.send(new GetObjectCommand(place));
    return (await Body?.transformToString()) ?? '';
  } catch (error) {
    if (error instanceof Error && error.name === 'NoSuchKey') return null;
    throw error;
  }
}
