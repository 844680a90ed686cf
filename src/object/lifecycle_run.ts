/** Does what a bucket's rules say, page by page: memory and the time of one step are bounded, however large the bucket. */
import { isSkerryError } from '../core/errors.js';
import { judgeUpload, judgeVersion, type LifecycleRule, type LifecycleSubject } from './lifecycle.js';
import type { Listed, ListedVersion, Listing, UploadView } from './listing.js';
import type { Objects } from './objects.js';
import type { Version } from './object_version.js';
import type { Uploads } from './uploads.js';

export interface LifecycleReport {
  readonly looked: number;
  readonly expired: number;
  readonly removed: number;
  readonly aborted: number;
  /** Kept by a retention or a legal hold. */
  readonly kept: number;
}

export interface LifecycleRunOptions {
  readonly listing: Pick<Listing, 'versions' | 'uploads'>;
  readonly objects: Pick<Objects, 'remove'>;
  readonly uploads: Pick<Uploads, 'abort'>;
  readonly now: () => number;
  /** After each page: others have their turn. */
  readonly rest: () => Promise<void>;
}

type Counts = { -readonly [Field in keyof LifecycleReport]: LifecycleReport[Field] };

export class LifecycleRun {
  readonly #options: LifecycleRunOptions;
  readonly #counts: Counts = { looked: 0, expired: 0, removed: 0, aborted: 0, kept: 0 };

  constructor(options: LifecycleRunOptions) {
    this.#options = options;
  }

  /** @throws SkerryError of the catalog; what is not done is done by the next run */
  async run(bucket: string, owner: number, rules: readonly LifecycleRule[], stop?: AbortSignal): Promise<LifecycleReport> {
    const { listing } = this.#options;
    // One behind, for what comes next tells whether it is of the same key.
    let last: { listed: ListedVersion; noncurrent: LifecycleSubject['noncurrent']; first: boolean } | null = null;
    const versions = pages(
      (token) => listing.versions({ bucket, ...(token === null ? {} : { token }) }),
      this.#options.rest,
      stop,
    );
    for await (const listed of versions) {
      const same: boolean = last !== null && last.listed.version.key === listed.version.key;
      if (last !== null) await this.#version(bucket, owner, rules, last.listed.version, last.noncurrent, last.first && !same);
      const noncurrent: LifecycleSubject['noncurrent'] =
        listed.current || last === null
          ? null
          : { since: last.listed.version.modifiedAt, newer: last.noncurrent === null ? 0 : last.noncurrent.newer + 1 };
      last = { listed, noncurrent, first: !same };
    }
    if (last !== null && stop?.aborted !== true)
      await this.#version(bucket, owner, rules, last.listed.version, last.noncurrent, last.first);
    const uploads = pages((token) => listing.uploads({ bucket, ...(token === null ? {} : { token }) }), this.#options.rest, stop);
    for await (const upload of uploads) await this.#upload(bucket, rules, upload);
    return { ...this.#counts };
  }

  async #version(
    bucket: string,
    owner: number,
    rules: readonly LifecycleRule[],
    version: Version,
    noncurrent: LifecycleSubject['noncurrent'],
    only: boolean,
  ): Promise<void> {
    const { key, versionId } = version;
    this.#counts.looked += 1;
    const judged = (found: Version): 'expire' | 'remove' | null =>
      judgeVersion(rules, subjectOf(found, noncurrent, only), this.#options.now())?.action ?? null;
    const action = judged(version);
    if (action === null) return;
    // The list is older than the removal: what was replaced since, tagged anew, or has become the current one again, stays.
    const still = (found: Version, newest: boolean): boolean =>
      newest === (noncurrent === null) && found.modifiedAt === version.modifiedAt && judged(found) === action;
    try {
      const place = action === 'expire' ? { bucket, key } : { bucket, key, versionId };
      await this.#options.objects.remove({ ...place, owner, still, expired: true });
      this.#counts[action === 'expire' ? 'expired' : 'removed'] += 1;
    } catch (error) {
      if (isSkerryError(error, 'denied')) this.#counts.kept += 1;
      else if (!isSkerryError(error, 'conflict', 'not-found')) throw error;
    }
  }

  async #upload(bucket: string, rules: readonly LifecycleRule[], { key, uploadId, upload }: UploadView): Promise<void> {
    if (judgeUpload(rules, { key, startedAt: upload.startedAt }, this.#options.now()) === null) return;
    try {
      await this.#options.uploads.abort({ bucket, key, uploadId });
      this.#counts.aborted += 1;
    } catch (error) {
      if (!isSkerryError(error, 'conflict', 'not-found')) throw error;
    }
  }
}

function subjectOf(
  { key, bytes, deleteMarker, modifiedAt, attributes }: Version,
  noncurrent: LifecycleSubject['noncurrent'],
  only: boolean,
): LifecycleSubject {
  return { key, bytes, tags: attributes.tags, deleteMarker, modifiedAt, noncurrent, only };
}

async function* pages<T>(
  next: (token: string | null) => Promise<Listed<T>>,
  rest: () => Promise<void>,
  stop?: AbortSignal,
): AsyncGenerator<T> {
  for (let token: string | null = null; ; ) {
    if (stop?.aborted === true) return;
    const page: Listed<T> = await next(token);
    for (const entry of page.entries) if (entry.entry === 'item') yield entry.item;
    token = page.token;
    if (token === null) return;
    await rest();
  }
}
