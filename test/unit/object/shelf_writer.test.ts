import { expect, test } from 'vitest';

import { ShelfWriter, type ShelfEngine } from '../../../src/object/shelf_writer.ts';

/** What an engine is asked for, in its order; a flush resolves when it is told to. */
function recordingEngine() {
  const asked: string[] = [];
  const flushes: PromiseWithResolvers<void>[] = [];
  const engine: ShelfEngine = {
    read: () => Promise.reject(new Error('nothing is read')),
    write: async (shelf) => void asked.push(`write ${shelf}`),
    flush: (shelf) => {
      asked.push(`flush ${shelf}`);
      const flush = Promise.withResolvers<void>();
      flushes.push(flush);
      return flush.promise;
    },
  };
  return { asked, flushes, writer: new ShelfWriter(engine) };
}

/** All that was asked for has begun: what is asked for in this turn begins in the next one. */
async function begun(): Promise<void> {
  for (let turn = 0; turn < 2; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

const page = new Uint8Array(4096);

test('bodies that are written in one turn of the event loop share one flush, which comes behind all of them', async () => {
  const { asked, flushes, writer } = recordingEngine();
  const stored = [0, 4096, 8192].map(async (offset) => {
    await writer.write(7, offset, page);
    await writer.flush(7);
  });
  await begun();
  expect(asked).toEqual(['write 7', 'write 7', 'write 7', 'flush 7']);
  flushes[0]?.resolve();
  await Promise.all(stored);
});

test('each shelf has a flush of its own', async () => {
  const { asked, writer } = recordingEngine();
  void writer.flush(1);
  void writer.flush(2);
  await begun();
  expect(asked).toEqual(['flush 1', 'flush 2']);
});

test('who asks when a flush has begun waits for another one, be the first still under way or not', async () => {
  const { asked, flushes, writer } = recordingEngine();
  const first = writer.flush(1);
  await begun();
  const second = writer.flush(1);
  await begun();
  expect(asked).toEqual(['flush 1', 'flush 1']);
  flushes[0]?.resolve();
  await first;
  flushes[1]?.resolve();
  await second;
  void writer.flush(1);
  await begun();
  expect(asked).toHaveLength(3);
});

test('a flush that fails fails for all who share it, and for nobody after them', async () => {
  const { flushes, writer } = recordingEngine();
  const shared = [writer.flush(1), writer.flush(1)];
  await begun();
  flushes[0]?.reject(new Error('the disk is gone'));
  expect(await Promise.allSettled(shared)).toMatchObject([{ status: 'rejected' }, { status: 'rejected' }]);
  const later = writer.flush(1);
  await begun();
  flushes[1]?.resolve();
  await later;
});
