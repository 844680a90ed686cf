/**
 * The daemon is killed under clients of S3 that put, copy, remove and upload in parts, and while rules end objects: nothing acknowledged is
 * lost, nothing is half there, and what is gone takes no room.
 */
import { setTimeout as sleep } from 'node:timers/promises';

import { CreateBucketCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { afterEach, describe, expect, it } from 'vitest';

import type { PoolSpaceView, PoolView, QuotaView, SpaceView } from '../../src/api/shapes.js';
import type { DaemonProcess } from '../harness/daemon_process.ts';
import { EndingObjects } from '../harness/ending_objects.ts';
import { ObjectTorture } from '../harness/object_torture.ts';
import { sdkClient, serving, type Serving } from '../harness/s3_serving.ts';

const bucket = 'tortured';
const block_bytes = 65_536;
const pack_bytes = 64 << 20;

/** A small generator, so that a failing run can be repeated. */
function dice(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

const started: DaemonProcess[] = [];
afterEach(async () => {
  for (const daemon of started.splice(0)) await daemon.destroy();
});

async function begin(config: Readonly<Record<string, unknown>> = {}): Promise<Serving> {
  const world = await serving({ gcSeconds: 2, ...config });
  started.push(world.daemon);
  return world;
}

/** Its port is another one. */
async function beginAgain({ daemon, key }: Serving): Promise<Serving> {
  await daemon.start();
  return { daemon, key, endpoint: `http://${daemon.ready?.listeners['s3']}` };
}

interface Lives {
  readonly torture: ObjectTorture;
  readonly random: () => number;
  /** Each kill takes the ring, too. */
  readonly power: boolean;
}

/** So many lives of the daemon, each ended in the midst of work and checked by the next. */
async function live(lives: number, begun: Serving, { torture, random, power }: Lives): Promise<Serving> {
  let world = begun;
  for (let life = 0; life < lives; life += 1) {
    const before = torture.acknowledged;
    const working = torture.work(sdkClient(world));
    while (torture.acknowledged === before) await sleep(20);
    await sleep(200 + random() * 1500);
    await world.daemon.kill();
    await working;
    if (power) world.daemon.wipeRing();
    world = await beginAgain(world);
    expect(await torture.check(sdkClient(world))).toEqual([]);
  }
  return world;
}

async function poolSpace(daemon: DaemonProcess): Promise<PoolSpaceView> {
  const { pools } = await daemon.json<SpaceView>('space');
  const [pool] = pools;
  if (pool === undefined) throw new Error('there is no pool');
  return pool;
}

/** Until no more is reached in the pool, and collected, than this: packs of which half is wanted stay, and so does the newest. */
async function roomComesBack(daemon: DaemonProcess, referencedBytesMax: number): Promise<void> {
  const room = async (): Promise<unknown> => {
    const { referencedBytes, storedBytes } = await poolSpace(daemon);
    const isBack = referencedBytes <= referencedBytesMax && storedBytes <= 2 * referencedBytesMax + pack_bytes;
    return isBack ? 'is back' : { referencedBytes, storedBytes };
  };
  await expect.poll(room, { interval: 1000 }).toBe('is back');
}

async function allRoomComesBack(daemon: DaemonProcess): Promise<void> {
  await roomComesBack(daemon, block_bytes);
  const packs = async (): Promise<number> => (await daemon.json<PoolView>('pool', 'show', 'default')).packs;
  await expect.poll(packs, { interval: 1000 }).toBeLessThanOrEqual(1);
}

describe.each([
  ['killed', false],
  ['without its ring after each kill, as power loss leaves it', true],
])('a daemon that is %s', (_what, power) => {
  it('has every object that it acknowledged, whole, and counts and stores what it has', async () => {
    let world = await begin();
    const { daemon } = world;
    await sdkClient(world).send(new CreateBucketCommand({ Bucket: bucket }));
    const random = dice(power ? 20261123 : 20261124);
    const torture = new ObjectTorture({ bucket, clients: 6, random });
    world = await live(8, world, { torture, random, power });
    const s3 = sdkClient(world);
    await torture.abortUploads(s3);

    // No more than one that has never done anything but store these objects; small ones may have a block each here, and share one there.
    const fresh = await begin();
    await sdkClient(fresh).send(new CreateBucketCommand({ Bucket: bucket }));
    const objects = await torture.copyTo(s3, sdkClient(fresh));
    const { referencedBytes } = await poolSpace(fresh.daemon);
    expect(referencedBytes).toBeGreaterThan(objects);
    await roomComesBack(daemon, referencedBytes + objects * 2 * block_bytes);

    await torture.removeObjects(s3);
    expect(await daemon.json<QuotaView>('quota', 'alice')).toMatchObject({ logicalBytes: 0, objects: 0 });
    await allRoomComesBack(daemon);
  });

  it('has every version that it acknowledged', async () => {
    let world = await begin();
    const { daemon } = world;
    const versioned = { Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } } as const;
    await sdkClient(world).send(new CreateBucketCommand({ Bucket: bucket }));
    await sdkClient(world).send(new PutBucketVersioningCommand(versioned));
    const random = dice(power ? 20261125 : 20261126);
    const torture = new ObjectTorture({ bucket, clients: 6, random });
    world = await live(4, world, { torture, random, power });
    const s3 = sdkClient(world);
    await torture.abortUploads(s3);
    await torture.removeObjects(s3);
    expect(await daemon.json<QuotaView>('quota', 'alice')).toMatchObject({ logicalBytes: 0, objects: 0 });
    await allRoomComesBack(daemon);
  });

  it('ends what rules of lifecycle end, each once and nothing else, though it dies while it does', async () => {
    let world = await begin({ s3LifecycleSeconds: 1 });
    const { daemon } = world;
    const ending = new EndingObjects({ plain: 'plain', versioned: 'versioned', objects: 120 });
    await ending.makeBuckets(sdkClient(world));
    for (let midway = 0; midway < 3; ) {
      await ending.begin(sdkClient(world));
      const left = await ending.someEnded(sdkClient(world));
      await daemon.kill();
      if (left > 0) midway += 1;
      if (power) daemon.wipeRing();
      world = await beginAgain(world);
      expect(await ending.check(sdkClient(world))).toEqual([]);
    }
    await expect.poll(() => ending.left(sdkClient(world)), { interval: 500 }).toBe(0);
    expect(await ending.checkVersions(sdkClient(world))).toEqual([]);
    await ending.clear(sdkClient(world));
    expect(await daemon.json<QuotaView>('quota', 'alice')).toMatchObject({ logicalBytes: 0, objects: 0 });
    await allRoomComesBack(daemon);
  });
});
