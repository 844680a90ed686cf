/** Volumes made of objects over a real engine: what they hold, what is stored for them, and what becomes of them. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { openObjectEngine, pool } from '../harness/object_engine.ts';
import { once, pattern } from '../harness/object_world.ts';

const MiB = 1 << 20;
const bucket = 'images';
const attributes = { owner: 1 };
const run = promisify(execFile);
let world: Awaited<ReturnType<typeof openObjectEngine>>;
let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-object-disks-'));
  world = await openObjectEngine();
  await world.layer.buckets.create({ name: bucket, account: 1, pool });
});
afterEach(async () => {
  await world.stop();
  rmSync(scratch, { recursive: true, force: true });
  expect(world.complaints).toEqual([]);
});

async function put(key: string, data: Uint8Array): Promise<string> {
  const { versionId } = await world.layer.objects.put({ bucket, key, content: once(data), bytes: data.length, attributes });
  return versionId;
}

async function upload(key: string, parts: readonly Uint8Array[]): Promise<void> {
  const { uploads } = world.layer;
  const name = { bucket, key, uploadId: await uploads.create({ bucket, key, attributes }) };
  const made = [];
  for (const [index, part] of parts.entries())
    made.push(await uploads.putPart({ ...name, number: index + 1, content: once(part), bytes: part.length }));
  await uploads.complete({ ...name, parts: made });
}

const padded = (data: Uint8Array): Buffer => Buffer.concat([data, Buffer.alloc(-data.length & 4095)]);

async function expectDisk(name: string, data: Uint8Array): Promise<void> {
  const { id, sizeBytes } = await world.mapper.get('volume', name);
  const wanted = padded(data);
  expect(sizeBytes).toBe(wanted.length);
  expect(Buffer.compare(await world.content(id, sizeBytes), wanted)).toBe(0);
}

it('a raw disk is a volume at once, and nothing of it is stored again', async () => {
  const data = pattern(20 * MiB, 1);
  await put('disk.raw', data);
  await world.disks.volume({ bucket, key: 'disk.raw' }, 'first');
  const before = world.putBytes();
  const made = await world.disks.volume({ bucket, key: 'disk.raw' }, 'second', { labels: { of: 'object' } });
  expect(world.putBytes() - before).toBeLessThan(MiB / 4);
  expect(made).toMatchObject({ kind: 'volume', name: 'second', pool, parent: 's3://images/disk.raw', labels: { of: 'object' } });
  await expectDisk('second', data);
  // The volume lives on by itself.
  await world.layer.objects.remove({ bucket, key: 'disk.raw', owner: 1 });
  await world.layer.takeBack();
  await world.engine.destage(0);
  await expectDisk('first', data);
  await world.engine.write(made.id, 0, Buffer.alloc(4096, 7));
  await expectDisk('first', data);
});

it.each([
  ['of parts of whole leaves', [16 * MiB, 16 * MiB, 5 * MiB]],
  ['of parts of whole blocks', [5 * MiB, 5 * MiB, 70_000]],
  ['of parts of any length', [100_001, 3, 3 * MiB + 5, 70_000]],
])('an upload %s is the same disk', async (_how, lengths) => {
  const parts = lengths.map((length, index) => pattern(length, index + 2));
  await upload('parts', parts);
  await world.disks.volume({ bucket, key: 'parts' }, 'vm1');
  await expectDisk('vm1', Buffer.concat(parts));
});

it('a small object, one that shares blocks with others and a range of another one are disks', async () => {
  await put('neighbour', pattern(5000, 9));
  const small = pattern(6000, 10);
  await put('small', small);
  await world.disks.volume({ bucket, key: 'small' }, 'small');
  await expectDisk('small', small);
  const large = pattern(18 * MiB, 11);
  await put('large', large);
  const { uploads, partCopies } = world.layer;
  const name = { bucket, key: 'range', uploadId: await uploads.create({ bucket, key: 'range', attributes }) };
  const range = { offset: 65_536, bytes: 17 * MiB };
  const part = await partCopies.copyPart({ ...name, number: 1, from: { bucket, key: 'large' }, range });
  await uploads.complete({ ...name, parts: [part] });
  await world.disks.volume({ bucket, key: 'range' }, 'range');
  await expectDisk('range', large.subarray(range.offset, range.offset + range.bytes));
});

it('an older version is named by its id', async () => {
  await world.layer.buckets.set(bucket, { versioning: 'enabled' });
  const old = pattern(MiB, 1);
  const versionId = await put('disk', old);
  await put('disk', pattern(MiB, 2));
  await world.disks.volume({ bucket, key: 'disk', versionId }, 'old');
  await expectDisk('old', old);
});

it('a qcow2 is imported once, and the second volume of it is a clone', async () => {
  const data = pattern(3 * MiB, 4);
  writeFileSync(join(scratch, 'disk.raw'), data);
  await run('qemu-img', ['convert', '-O', 'qcow2', join(scratch, 'disk.raw'), join(scratch, 'disk.qcow2')]);
  await put('disk.qcow2', readFileSync(join(scratch, 'disk.qcow2')));
  await world.disks.volume({ bucket, key: 'disk.qcow2' }, 'vm1');
  await expectDisk('vm1', data);
  const images = await world.mapper.list('image');
  expect(images).toMatchObject([{ description: 'the qcow2 image s3://images/disk.qcow2', sizeBytes: data.length }]);
  const before = world.putBytes();
  const second = await world.disks.volume({ bucket, key: 'disk.qcow2' }, 'vm2');
  expect(second.parent).toBe(images[0]?.name);
  expect(world.putBytes()).toBe(before);
  await expectDisk('vm2', data);
  expect((await world.mapper.list('volume')).map(({ name }) => name)).toEqual(['vm1', 'vm2']);
});

it('a compressed raw disk is unpacked', async () => {
  const data = Buffer.alloc(2 * MiB, 'skerry');
  await put('disk.raw.gz', gzipSync(data));
  await world.disks.volume({ bucket, key: 'disk.raw.gz' }, 'vm1');
  await expectDisk('vm1', data);
});

it('what can be no disk is refused, and leaves nothing', async () => {
  await put('empty', new Uint8Array(0));
  await put('zip', Buffer.concat([Buffer.from('PK\x03\x04'), Buffer.alloc(70_000)]));
  await put('cut.qcow2', Buffer.concat([Buffer.from('QFI\xfb', 'latin1'), Buffer.alloc(70_000)]));
  await put('disk', pattern(70_000, 1));
  const seal = { kind: 'customer', keyName: '', wrappedKey: new Uint8Array(60) } as const;
  const sealed = { bucket, key: 'sealed', content: once(pattern(70_000, 1)), bytes: 70_000, objectKey: new Uint8Array(32) };
  await world.layer.objects.put({ ...sealed, attributes: { ...attributes, seal } });
  const refused = async (key: string, name: string): Promise<unknown> =>
    world.disks.volume({ bucket, key }, name).catch((error: unknown) => (error as { code: string }).code);
  expect(await refused('empty', 'vm1')).toBe('invalid');
  expect(await refused('zip', 'vm1')).toBe('invalid');
  expect(await refused('cut.qcow2', 'vm1')).toBe('invalid');
  expect(await refused('sealed', 'vm1')).toBe('unsupported');
  expect(await refused('absent', 'vm1')).toBe('not-found');
  expect(await refused('disk', 'Not a name')).toBe('invalid');
  await world.disks.volume({ bucket, key: 'disk' }, 'vm1');
  expect(await refused('disk', 'vm1')).toBe('exists');
  expect((await world.mapper.list('volume')).map(({ name }) => name)).toEqual(['vm1']);
  expect(await world.mapper.list('image')).toEqual([]);
});
