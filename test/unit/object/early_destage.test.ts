import { expect, it } from 'vitest';

import { EarlyDestage } from '../../../src/object/early_destage.ts';
import { ObjectWorld, once, pattern } from '../../harness/object_world.ts';

const MiB = 1 << 20;
const body = (bytes: number, shelf = 1) => [{ shelf, extent: 0, start: 0, bytes }];
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Destages that end when they are told to. */
function held(stepBytes = 4 * MiB) {
  const begun: number[] = [];
  const ends: ((failure?: Error) => void)[] = [];
  const destage = (shelf: number): Promise<void> => {
    begun.push(shelf);
    return new Promise((resolve, reject) => ends.push((failure) => (failure === undefined ? resolve() : reject(failure))));
  };
  return { begun, end: (failure?: Error) => ends.shift()?.(failure), early: new EarlyDestage({ destage, stepBytes }) };
}

it('a shelf is destaged whenever so much of long bodies came, and one at a time', async () => {
  const { begun, end, early } = held();
  early.note(1, 3 * MiB);
  expect(begun).toEqual([]);
  early.note(1, MiB);
  expect(begun).toEqual([1]);
  early.note(1, 9 * MiB);
  early.note(2, 4 * MiB);
  expect(begun).toEqual([1, 2]);
  end();
  await turn();
  expect(begun).toEqual([1, 2, 1]);
  end(new Error('the backend is away'));
  end();
  await turn();
  expect(begun).toEqual([1, 2, 1]);
  early.note(1, 4 * MiB);
  expect(begun).toEqual([1, 2, 1, 1]);
});

it('short bodies are left to the engine', () => {
  const { begun, early } = held();
  for (let made = 0; made < 1000; made += 1) early.note(1, 60_000);
  expect(begun).toEqual([]);
});

it('the rest of a long object is destaged when it ends, also behind one that is under way', async () => {
  const { begun, end, early } = held();
  early.note(1, 3 * MiB);
  early.finish(body(3 * MiB));
  expect(begun).toEqual([]);
  early.note(1, 2 * MiB);
  early.note(1, MiB);
  early.finish([...body(5 * MiB), ...body(MiB)]);
  expect(begun).toEqual([1]);
  end();
  await turn();
  expect(begun).toEqual([1, 1]);
  end();
  await turn();
  early.finish(body(6 * MiB));
  expect(begun).toEqual([1, 1]);
  early.note(1, MiB);
  early.stop();
  early.finish(body(6 * MiB));
  expect(begun).toEqual([1, 1]);
});

it('a body is destaged while it comes, whether its length is known or not', async () => {
  for (const bytes of [5 * MiB, null]) {
    const destaged: number[] = [];
    const world = await ObjectWorld.open({ destage: async (shelf) => void destaged.push(shelf), destageStepBytes: 2 * MiB });
    const { buckets, objects } = world.layer;
    await buckets.create({ name: 'images', account: 1, pool: 'default' });
    async function* content(): AsyncGenerator<Uint8Array> {
      for (let sent = 0; sent < 5; sent += 1) {
        yield pattern(MiB, sent);
        await turn();
      }
      // What is not whole yet is there in two steps.
      expect(destaged).toEqual([1, 1]);
    }
    await objects.put({ bucket: 'images', key: 'disk', content: content(), bytes, attributes: { owner: 1 } });
    expect(destaged).toEqual([1, 1, 1]);
  }
});

it('parts of an upload are noted as they come', async () => {
  const destaged: number[] = [];
  const world = await ObjectWorld.open({ destage: async (shelf) => void destaged.push(shelf), destageStepBytes: 2 * MiB });
  const { buckets, uploads, objects } = world.layer;
  await buckets.create({ name: 'images', account: 1, pool: 'default' });
  const attributes = { owner: 1 };
  const upload = { bucket: 'images', key: 'disk', uploadId: await uploads.create({ bucket: 'images', key: 'disk', attributes }) };
  const parts = [];
  for (const number of [1, 2, 3])
    parts.push(await uploads.putPart({ ...upload, number, content: once(pattern(MiB, number)), bytes: MiB }));
  expect(destaged).toEqual([1]);
  await uploads.complete({ ...upload, parts });
  expect(destaged).toEqual([1, 1]);
  await objects.put({ bucket: 'images', key: 'whole', content: once(pattern(2 * MiB, 9)), bytes: 2 * MiB, attributes });
  expect(destaged).toEqual([1, 1, 1]);
});
