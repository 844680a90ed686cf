import { expect, test } from 'vitest';

import { DirectorySyncs } from '../../../src/driver/directory_syncs.js';

class Recorder {
  readonly began: string[] = [];
  readonly #ends: ((error?: Error) => void)[] = [];

  sync = (path: string): Promise<void> => {
    this.began.push(path);
    return new Promise((resolve, reject) => {
      this.#ends.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  };

  async end(error?: Error): Promise<void> {
    this.#ends.shift()?.(error);
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}

test('who asks while a sync is under way waits for one that began later, which all of them share', async () => {
  const recorder = new Recorder();
  const syncs = new DirectorySyncs(recorder.sync);
  const done: string[] = [];
  const ask = (name: string, path = '/a'): void => void syncs.sync(path).then(() => done.push(name));
  ask('first');
  ask('second');
  ask('third');
  ask('elsewhere', '/b');
  expect(recorder.began).toEqual(['/a', '/b']);
  await recorder.end();
  expect(done).toEqual(['first']);
  expect(recorder.began).toEqual(['/a', '/b', '/a']);
  // What is asked now is not covered by the one that is under way.
  ask('fourth');
  await recorder.end();
  await recorder.end();
  expect(done).toEqual(['first', 'elsewhere', 'second', 'third']);
  await recorder.end();
  expect(done).toEqual(['first', 'elsewhere', 'second', 'third', 'fourth']);
  expect(recorder.began).toHaveLength(4);
  ask('fifth');
  expect(recorder.began).toHaveLength(5);
});

test('a sync that fails fails those who waited for it, and the next is tried', async () => {
  const recorder = new Recorder();
  const syncs = new DirectorySyncs(recorder.sync);
  const first = syncs.sync('/a').catch((error: Error) => error.message);
  const second = syncs.sync('/a');
  await recorder.end(new Error('no'));
  expect(await first).toBe('no');
  await recorder.end();
  await second;
  expect(recorder.began).toHaveLength(2);
});
