/** What every way to the object layer keeps to: the layer itself, and the protocols over it. */
import { createHash } from 'node:crypto';

import { isSkerryError } from '../../src/core/errors.js';
import type { ObjectStore } from '../../src/object/object_store.js';
import { gather, once, pattern } from '../harness/object_world.ts';
import { equal, same } from './expectations.js';

export interface ObjectLaw {
  readonly title: string;
  check(store: ObjectStore, bucket: string): Promise<void>;
}

/** Who makes all buckets; the next one is somebody else. */
export const law_account = 7;
const account = law_account;
const attributes = { owner: account };
const MiB = 1 << 20;

async function put(store: ObjectStore, bucket: string, key: string, data: Uint8Array | string, more: object = {}) {
  return store.objects.put({ bucket, key, content: once(data), bytes: Buffer.from(data).length, attributes, ...more });
}

async function read(store: ObjectStore, bucket: string, key: string, versionId?: string): Promise<Buffer> {
  const opened = await store.objects.open({ bucket, key, ...(versionId === undefined ? {} : { versionId }) });
  if (opened.outcome !== 'opened') throw new Error('not modified');
  try {
    return await gather(opened.object.read(0, opened.object.version.bytes));
  } finally {
    opened.object.close();
  }
}

async function fails(reason: string, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!isSkerryError(error)) throw error;
    return same(error.reason, reason);
  }
  throw new Error(`did not fail with ${reason}`);
}

async function keys(store: ObjectStore, order: Parameters<ObjectStore['listing']['objects']>[0]): Promise<readonly string[]> {
  const found: string[] = [];
  for (let token: string | null | undefined; token !== null; ) {
    const page = await store.listing.objects({ ...order, ...(token === undefined ? {} : { token }) });
    found.push(...page.entries.map((entry) => (entry.entry === 'item' ? entry.item.key : `${entry.prefix}*`)));
    token = page.token;
  }
  return found;
}

async function versions(store: ObjectStore, bucket: string): Promise<readonly string[]> {
  const { entries } = await store.listing.versions({ bucket });
  return entries.map((entry) => {
    if (entry.entry === 'group') return entry.prefix;
    const { version, current } = entry.item;
    return `${version.key} ${version.deleteMarker ? 'marker' : version.bytes}${current ? ' current' : ''}`;
  });
}

export const objectLaws: readonly ObjectLaw[] = [
  ...[0, 1, 4095, 4096, 65_535, 65_536, 70_000, MiB - 1, MiB, 3 * MiB + 5, 17 * MiB + 1].map((bytes, seed) => ({
    title: `an object of ${bytes} bytes is what was put`,
    async check(store: ObjectStore, bucket: string) {
      const data = pattern(bytes, seed);
      const made = await put(store, bucket, 'a', data);
      same(made.etag, createHash('md5').update(data).digest('hex'));
      same(made.bytes, bytes);
      equal(await read(store, bucket, 'a'), data);
    },
  })),
  {
    title: 'a body whose length nobody told is whole',
    async check(store, bucket) {
      const data = pattern(5 * MiB + 77, 1);
      await put(store, bucket, 'a', data, { bytes: null });
      equal(await read(store, bucket, 'a'), data);
    },
  },
  {
    title: 'any range is what the body has there',
    async check(store, bucket) {
      const data = pattern(2 * MiB + 3000, 5);
      await put(store, bucket, 'a', data);
      const opened = await store.objects.open({ bucket, key: 'a' });
      if (opened.outcome !== 'opened') throw new Error('not modified');
      for (const [offset, length] of [
        [0, 1],
        [4095, 2],
        [MiB - 1, 2],
        [MiB - 7, MiB + 11],
        [data.length - 1, 1],
        [777, data.length - 777],
      ] as const)
        equal(await gather(opened.object.read(offset, length)), data.subarray(offset, offset + length));
      opened.object.close();
    },
  },
  {
    title: 'a body that is shorter or longer than announced is refused, and nothing of it is there',
    async check(store, bucket) {
      await fails('incomplete-body', () => put(store, bucket, 'a', 'abc', { bytes: 4 }));
      await fails('incomplete-body', () => put(store, bucket, 'a', 'abc', { bytes: 2 }));
      await fails('no-such-key', () => store.objects.head({ bucket, key: 'a' }));
    },
  },
  {
    title: 'a body that is not what its digests say is refused, and what was there stays',
    async check(store, bucket) {
      await put(store, bucket, 'a', 'old');
      const md5 = createHash('md5').update('new').digest('base64');
      await fails('bad-digest', () => put(store, bucket, 'a', 'nex', { expected: { md5 } }));
      const sha256 = { algorithm: 'SHA256', value: createHash('sha256').update('new').digest('base64') };
      await fails('bad-digest', () => put(store, bucket, 'a', 'nex', { expected: { checksum: sha256 } }));
      same((await read(store, bucket, 'a')).toString(), 'old');
      const made = await put(store, bucket, 'a', 'new', { expected: { md5, checksum: sha256 } });
      same(made.checksum?.value, sha256.value);
    },
  },
  {
    title: 'what is said of an object comes back, in any script',
    async check(store, bucket) {
      const said = { headers: { 'content-type': 'text/plain' }, metadata: { name: 'Привет, 世界 🌊' }, tags: { a: 'b', c: '' } };
      await put(store, bucket, 'ключ/🌊', 'x', { attributes: { ...attributes, ...said } });
      const { attributes: found } = await store.objects.head({ bucket, key: 'ключ/🌊' });
      same(found.headers['content-type'], 'text/plain');
      same(found.metadata['name'], said.metadata.name);
      same(JSON.stringify(found.tags), JSON.stringify(said.tags));
    },
  },
  {
    title: 'keys of 1024 bytes of any kind are kept, and longer ones refused',
    async check(store, bucket) {
      for (const key of [' '.repeat(1024), '~'.repeat(1024), '世'.repeat(341), '\u0001'.repeat(1024)]) {
        await put(store, bucket, key, key);
        same((await read(store, bucket, key)).toString(), key);
      }
      await fails('key-too-long', () => put(store, bucket, 'a'.repeat(1025), 'x'));
      await fails('key-too-long', () => put(store, bucket, '世'.repeat(342), 'x'));
    },
  },
  {
    title: 'an object that is opened stays as it was, though it is replaced and removed meanwhile',
    async check(store, bucket) {
      const data = pattern(3 * MiB, 3);
      await put(store, bucket, 'a', data);
      const opened = await store.objects.open({ bucket, key: 'a' });
      if (opened.outcome !== 'opened') throw new Error('not modified');
      await put(store, bucket, 'a', 'new');
      await store.objects.remove({ bucket, key: 'a', owner: account });
      equal(await gather(opened.object.read(0, data.length)), data);
      opened.object.close();
      await fails('no-such-key', () => store.objects.head({ bucket, key: 'a' }));
    },
  },
  {
    title: 'removing what is not there succeeds',
    async check(store, bucket) {
      same((await store.objects.remove({ bucket, key: 'a', owner: account })).versionId, null);
    },
  },
  {
    title: 'conditions of writing are kept, however many write at once',
    async check(store, bucket) {
      const create = { conditions: { ifNoneMatch: ['*'] } };
      const outcomes = await Promise.allSettled(['1', '2', '3', '4', '5'].map((data) => put(store, bucket, 'a', data, create)));
      same(outcomes.filter(({ status }) => status === 'fulfilled').length, 1);
      await fails('precondition-failed', () => put(store, bucket, 'a', 'x', create));
      const { etag } = await store.objects.head({ bucket, key: 'a' });
      const replace = { conditions: { ifMatch: [etag] } };
      const swaps = await Promise.allSettled(['6', '7', '8'].map((data) => put(store, bucket, 'a', data, replace)));
      same(swaps.filter(({ status }) => status === 'fulfilled').length, 1);
      await fails('no-such-key', () => put(store, bucket, 'b', 'x', replace));
      await fails('precondition-failed', () => store.objects.remove({ bucket, key: 'a', owner: account, ...replace }));
      const now = (await store.objects.head({ bucket, key: 'a' })).etag;
      await store.objects.remove({ bucket, key: 'a', owner: account, conditions: { ifMatch: [now] } });
      await fails('no-such-key', () => store.objects.head({ bucket, key: 'a' }));
    },
  },
  {
    title: 'conditions of reading say when there is nothing new',
    async check(store, bucket) {
      const { etag, modifiedAt } = await put(store, bucket, 'a', 'x');
      const open = (conditions: object) => store.objects.open({ bucket, key: 'a' }, conditions);
      same((await open({ ifNoneMatch: [etag] })).outcome, 'not-modified');
      same((await open({ ifModifiedSince: modifiedAt })).outcome, 'not-modified');
      same((await open({ ifModifiedSince: modifiedAt, ifNoneMatch: ['other'] })).outcome, 'opened');
      await fails('precondition-failed', () => open({ ifMatch: ['other'] }));
      await fails('precondition-failed', () => open({ ifUnmodifiedSince: modifiedAt - 5000 }));
      same((await open({ ifMatch: [etag], ifUnmodifiedSince: modifiedAt - 5000 })).outcome, 'opened');
    },
  },
  {
    title: 'a copy lives on when its source is gone, and takes what is said of it or not',
    async check(store, bucket) {
      const data = pattern(200_000, 2);
      await put(store, bucket, 'a', data, { attributes: { ...attributes, metadata: { of: 'a' } } });
      await store.copies.copy({ bucket, key: 'b', from: { bucket, key: 'a' }, owner: account });
      const said = { ...attributes, metadata: { of: 'c' } };
      await store.copies.copy({ bucket, key: 'c', from: { bucket, key: 'a' }, owner: account, attributes: said });
      await store.copies.copy({ bucket, key: 'a', from: { bucket, key: 'a' }, owner: account, attributes: said });
      await store.objects.remove({ bucket, key: 'a', owner: account });
      equal(await read(store, bucket, 'b'), data);
      equal(await read(store, bucket, 'c'), data);
      same((await store.objects.head({ bucket, key: 'b' })).attributes.metadata['of'], 'a');
      same((await store.objects.head({ bucket, key: 'c' })).attributes.metadata['of'], 'c');
      await fails('no-such-key', () => store.copies.copy({ bucket, key: 'd', from: { bucket, key: 'x' }, owner: account }));
      const fromConditions = { ifMatch: ['other'] };
      await fails('precondition-failed', () =>
        store.copies.copy({ bucket, key: 'd', from: { bucket, key: 'b' }, owner: account, fromConditions }),
      );
    },
  },
  {
    title: 'a versioned bucket keeps every version, and a removal hides them',
    async check(store, bucket) {
      await put(store, bucket, 'a', 'null version');
      await store.buckets.set(bucket, { versioning: 'enabled' });
      const one = await put(store, bucket, 'a', 'one');
      await put(store, bucket, 'a', 'second');
      const marker = await store.objects.remove({ bucket, key: 'a', owner: account });
      same(marker.deleteMarker, true);
      await fails('delete-marker', () => store.objects.head({ bucket, key: 'a' }));
      same((await read(store, bucket, 'a', 'null')).toString(), 'null version');
      same((await read(store, bucket, 'a', one.versionId)).toString(), 'one');
      same((await versions(store, bucket)).join(), 'a marker current,a 6,a 3,a 12');
      same((await keys(store, { bucket })).length, 0);
      await store.objects.remove({ bucket, key: 'a', owner: account, versionId: marker.versionId ?? '' });
      same((await read(store, bucket, 'a')).toString(), 'second');
      await store.objects.remove({ bucket, key: 'a', owner: account, versionId: 'null' });
      same((await versions(store, bucket)).join(), 'a 6 current,a 3');
    },
  },
  {
    title: 'while versioning is suspended there is one null version, which is replaced',
    async check(store, bucket) {
      await put(store, bucket, 'a', '1');
      await store.buckets.set(bucket, { versioning: 'enabled' });
      await put(store, bucket, 'a', '22');
      await store.buckets.set(bucket, { versioning: 'suspended' });
      await put(store, bucket, 'a', '333');
      same((await versions(store, bucket)).join(), 'a 3 current,a 2');
      await put(store, bucket, 'a', '4444');
      same((await versions(store, bucket)).join(), 'a 4 current,a 2');
      same((await store.objects.remove({ bucket, key: 'a', owner: account })).versionId, 'null');
      same((await versions(store, bucket)).join(), 'a marker current,a 2');
      await store.objects.remove({ bucket, key: 'a', owner: account, versionId: 'null' });
      same((await read(store, bucket, 'a')).toString(), '22');
      await store.buckets.set(bucket, { versioning: 'enabled' });
      await put(store, bucket, 'a', '55555');
      same((await versions(store, bucket)).join(), 'a 5 current,a 2');
    },
  },
  {
    title: 'keys are listed by their bytes, whatever JavaScript thinks of their order',
    async check(store, bucket) {
      const all = ['a', 'b', 'a/1', 'a/2', 'a0', '\uffff', '\u{10000}', 'ä', 'z', 'a/', ' '];
      for (const key of all) await put(store, bucket, key, 'x');
      const sorted = all
        .map((key) => Buffer.from(key))
        .sort((a, b) => Buffer.compare(a, b))
        .map(String);
      same((await keys(store, { bucket })).join('|'), sorted.join('|'));
      same((await keys(store, { bucket, entriesMax: 2 })).join('|'), sorted.join('|'));
      same(
        (await keys(store, { bucket, delimiter: '/' })).join('|'),
        [' ', 'a', 'a/*', 'a0', 'b', 'z', 'ä', '\uffff', '\u{10000}'].join('|'),
      );
      same((await keys(store, { bucket, prefix: 'a', delimiter: '/', entriesMax: 1 })).join('|'), 'a|a/*|a0');
      same((await keys(store, { bucket, prefix: 'a/', delimiter: '/' })).join('|'), 'a/|a/1|a/2');
      same((await keys(store, { bucket, after: 'a/', prefix: 'a' })).join('|'), 'a/1|a/2|a0');
    },
  },
  {
    title: 'a list may begin after what is longer than any key, and ask for what no key begins with',
    async check(store, bucket) {
      for (const key of ['a', 'a'.repeat(1024), 'b']) await put(store, bucket, key, 'x');
      for (const length of [1025, 1500, 5000, 50_000]) {
        same((await keys(store, { bucket, after: 'a'.repeat(length) })).join(), 'b');
        same((await keys(store, { bucket, prefix: 'a'.repeat(length) })).length, 0);
        same((await keys(store, { bucket, prefix: 'a', delimiter: 'a'.repeat(length) })).length, 2);
        same((await store.listing.versions({ bucket, after: 'a'.repeat(length) })).entries.length, 1);
      }
      const uploadId = await store.uploads.create({ bucket, key: 'a', attributes });
      same((await store.listing.uploads({ bucket, after: 'a', afterUpload: uploadId })).entries.length, 0);
      await fails('bad-token', () => store.listing.uploads({ bucket, after: 'a', afterUpload: '\u{10000}'.repeat(1500) }));
      await store.uploads.abort({ bucket, key: 'a', uploadId });
    },
  },
  {
    title: 'a bucket that holds something is not removed, and an empty one is',
    async check(store, bucket) {
      await put(store, bucket, 'a', 'x');
      await fails('bucket-not-empty', () => store.buckets.remove(bucket));
      await store.objects.remove({ bucket, key: 'a', owner: account });
      await store.buckets.remove(bucket);
      await fails('no-such-bucket', () => store.buckets.get(bucket));
      await fails('no-such-bucket', () => put(store, bucket, 'a', 'x'));
    },
  },
  {
    title: 'a bucket is not removed while an upload into it is under way',
    async check(store, bucket) {
      const uploadId = await store.uploads.create({ bucket, key: 'a', attributes });
      await fails('bucket-not-empty', () => store.buckets.remove(bucket));
      await store.uploads.abort({ bucket, key: 'a', uploadId });
      await store.buckets.remove(bucket);
    },
  },
  {
    title: 'parts become one object, in their order, whenever they came',
    async check(store, bucket) {
      const parts = [pattern(300_000, 1), pattern(100_001, 2), pattern(7, 3)];
      const uploadId = await store.uploads.create({ bucket, key: 'a', attributes: { ...attributes, metadata: { m: '1' } } });
      const name = { bucket, key: 'a', uploadId };
      const etags: string[] = [];
      for (const number of [3, 1, 2]) {
        const data = parts[number - 1] ?? new Uint8Array(0);
        etags[number] = (await store.uploads.putPart({ ...name, number, content: once(data), bytes: data.length })).etag;
      }
      await store.uploads.putPart({ ...name, number: 4, content: once('not listed'), bytes: null });
      same((await store.uploads.listParts(name)).parts.map(({ number }) => number).join(), '1,2,3,4');
      await fails('no-such-key', () => store.objects.head({ bucket, key: 'a' }));
      const listed = [1, 2, 3].map((number) => ({ number, etag: etags[number] ?? '' }));
      await fails('invalid-part-order', () => store.uploads.complete({ ...name, parts: listed.toReversed() }));
      await fails('invalid-part', () => store.uploads.complete({ ...name, parts: [{ number: 9, etag: 'x' }] }));
      const made = await store.uploads.complete({ ...name, parts: listed });
      const md5s = parts.map((data) => createHash('md5').update(data).digest());
      same(made.etag, `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-3`);
      same(made.parts, 3);
      equal(await read(store, bucket, 'a'), Buffer.concat(parts));
      same((await store.objects.head({ bucket, key: 'a' })).attributes.metadata['m'], '1');
      await fails('no-such-upload', () => store.uploads.listParts(name));
      // An answer that was lost is asked for again.
      same((await store.uploads.complete({ ...name, parts: listed })).modifiedAt, made.modifiedAt);
      await fails('no-such-upload', () => store.uploads.complete({ ...name, parts: listed.slice(1) }));
      await store.objects.remove({ bucket, key: 'a', owner: account });
      await fails('no-such-upload', () => store.uploads.complete({ ...name, parts: listed }));
    },
  },
  {
    title: 'checksums of parts become that of all: of all bytes where they can be joined, else of the parts',
    async check(store, bucket) {
      const parts = [pattern(300_000, 1), pattern(300_000, 2), pattern(7, 3)];
      for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
        const whole = await put(store, bucket, 'whole', Buffer.concat(parts), { expected: { checksum: { algorithm } } });
        const uploadId = await store.uploads.create({
          bucket,
          key: 'a',
          attributes,
          checksum: { algorithm, type: 'full-object' },
        });
        const name = { bucket, key: 'a', uploadId };
        const listed: { number: number; etag: string }[] = [];
        for (const [index, data] of parts.entries())
          listed.push(await store.uploads.putPart({ ...name, number: index + 1, content: once(data), bytes: data.length }));
        await fails('bad-digest', () => store.uploads.complete({ ...name, parts: listed, checksum: 'AAAA' }));
        same((await store.uploads.complete({ ...name, parts: listed })).checksum?.value, whole.checksum?.value);
      }
      const uploadId = await store.uploads.create({
        bucket,
        key: 'a',
        attributes,
        checksum: { algorithm: 'SHA256', type: 'composite' },
      });
      const name = { bucket, key: 'a', uploadId };
      const one = await store.uploads.putPart({ ...name, number: 1, content: once('x'), bytes: 1 });
      const made = await store.uploads.complete({ ...name, parts: [one] });
      const sum = createHash('sha256').update('x').digest();
      same(made.checksum?.value, createHash('sha256').update(sum).digest('base64'));
    },
  },
  {
    title: 'an aborted upload is gone, and so is what comes for it later',
    async check(store, bucket) {
      const uploadId = await store.uploads.create({ bucket, key: 'a', attributes });
      const name = { bucket, key: 'a', uploadId };
      await store.uploads.putPart({ ...name, number: 1, content: once('x'), bytes: 1 });
      same((await store.listing.uploads({ bucket })).entries.length, 1);
      await store.uploads.abort(name);
      same((await store.listing.uploads({ bucket })).entries.length, 0);
      await fails('no-such-upload', () => store.uploads.putPart({ ...name, number: 1, content: once('x'), bytes: 1 }));
    },
  },
  {
    title: 'a part may be a range of an object, with its bytes shared',
    async check(store, bucket) {
      const data = pattern(400_000, 4);
      await put(store, bucket, 'source', data);
      const uploadId = await store.uploads.create({ bucket, key: 'a', attributes });
      const name = { bucket, key: 'a', uploadId };
      const from = { bucket, key: 'source' };
      const parts = [
        await store.partCopies.copyPart({ ...name, number: 1, from, range: { offset: 65_536, bytes: 131_072 } }),
        await store.partCopies.copyPart({ ...name, number: 2, from }),
        await store.partCopies.copyPart({ ...name, number: 3, from, range: { offset: 5, bytes: 7 } }),
      ];
      await fails('invalid-range', () =>
        store.partCopies.copyPart({ ...name, number: 4, from, range: { offset: 399_999, bytes: 2 } }),
      );
      await store.objects.remove({ ...from, owner: account });
      await store.uploads.complete({ ...name, parts });
      equal(await read(store, bucket, 'a'), Buffer.concat([data.subarray(65_536, 196_608), data, data.subarray(5, 12)]));
    },
  },
  {
    title: 'an object of many parts is read and copied anywhere',
    async check(store, bucket) {
      const uploadId = await store.uploads.create({ bucket, key: 'a', attributes });
      const name = { bucket, key: 'a', uploadId };
      const parts: { number: number; etag: string }[] = [];
      const all: Uint8Array[] = [];
      for (let number = 1; number <= 40; number += 1) {
        const data = pattern(1000 + number, number);
        all.push(data);
        parts.push(await store.uploads.putPart({ ...name, number, content: once(data), bytes: data.length }));
      }
      await store.uploads.complete({ ...name, parts });
      await store.copies.copy({ bucket, key: 'b', from: { bucket, key: 'a' }, owner: account });
      await store.objects.remove({ bucket, key: 'a', owner: account });
      equal(await read(store, bucket, 'b'), Buffer.concat(all));
      const opened = await store.objects.open({ bucket, key: 'b' });
      if (opened.outcome !== 'opened') throw new Error('not modified');
      const [part] = await opened.object.parts(29, 1);
      same(part?.bytes, 1030);
      equal(await gather(opened.object.read(part?.offset ?? 0, part?.bytes ?? 0)), all[29] ?? new Uint8Array(0));
      opened.object.close();
    },
  },
  {
    title: 'a version that is kept is not removed before its time, nor what is under legal hold',
    async check(store) {
      const locked = 'locked-bucket';
      await store.buckets.create({ name: locked, account, pool: 'default', objectLock: true });
      const until = Date.now() + 1_000_000_000_000;
      const held = await put(store, locked, 'a', 'x', {
        attributes: { ...attributes, retention: { mode: 'governance', until } },
      });
      const version = { bucket: locked, key: 'a', versionId: held.versionId };
      await fails('object-locked', () => store.objects.remove({ ...version, owner: account }));
      await fails('object-locked', () => store.objects.setRetention(version, null, false));
      await store.objects.setRetention(version, { mode: 'governance', until: until + 1 }, false);
      const stricter = { mode: 'compliance', until: until + 1 } as const;
      await fails('object-locked', () => store.objects.setRetention(version, stricter, false));
      await store.objects.setRetention(version, stricter, true);
      await fails('object-locked', () => store.objects.remove({ ...version, owner: account, bypassGovernance: true }));
      await fails('object-locked', () => store.objects.setRetention(version, null, true));
      const other = await put(store, locked, 'b', 'x');
      const b = { bucket: locked, key: 'b', versionId: other.versionId };
      await store.objects.setAttributes(b, { legalHold: true });
      await fails('object-locked', () => store.objects.remove({ ...b, owner: account, bypassGovernance: true }));
      await store.objects.setAttributes(b, { legalHold: false });
      same((await store.objects.remove({ ...b, owner: account })).deleteMarker, false);
      await fails('invalid-bucket-state', () => store.buckets.set(locked, { versioning: 'suspended' }));
      same((await store.objects.remove({ bucket: locked, key: 'a', owner: account })).deleteMarker, true);
    },
  },
  {
    title: 'tags and documents change without a new version',
    async check(store, bucket) {
      const { versionId } = await put(store, bucket, 'a', 'x', { attributes: { ...attributes, tags: { a: '1' } } });
      const changed = await store.objects.setAttributes({ bucket, key: 'a' }, { tags: { b: '2' }, acl: '<acl/>' });
      same(changed.versionId, versionId);
      const { attributes: found } = await store.objects.head({ bucket, key: 'a' });
      same(JSON.stringify(found.tags), '{"b":"2"}');
      same(found.acl, '<acl/>');
      await store.buckets.setDocument(bucket, 'policy', new TextEncoder().encode('{}'));
      same(new TextDecoder().decode((await store.buckets.document(bucket, 'policy')) ?? new Uint8Array(0)), '{}');
      await store.buckets.setDocument(bucket, 'policy', null);
      same(await store.buckets.document(bucket, 'policy'), null);
    },
  },
  {
    title: 'who makes a bucket again is told that it is theirs',
    async check(store, bucket) {
      await fails('bucket-already-owned-by-you', () => store.buckets.create({ name: bucket, account, pool: 'default' }));
    },
  },
  {
    title: 'a name belongs to one bucket',
    async check(store, bucket) {
      await fails('bucket-already-exists', () => store.buckets.create({ name: bucket, account: account + 1, pool: 'default' }));
      await fails('invalid-bucket-name', () => store.buckets.create({ name: 'No Bucket', account, pool: 'default' }));
      same((await store.buckets.list(account)).buckets.map(({ name }) => name).join(), bucket);
    },
  },
];
