import { expect, test } from 'vitest';

import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { SkerryError } from '../../../src/core/errors.js';
import { chunkKey } from '../../../src/driver/driver.js';
import { withGuard } from '../../../src/pool/guarded.js';

const key = chunkKey('packs/00000001.pack');
const data = Uint8Array.of(1);

test('nothing is put or removed before a look, one look is believed for a while, and reads need none', async () => {
  let looks = 0;
  let milliseconds = 0;
  const driver = withGuard(new MemoryDriver(), {
    check: async () => {
      looks += 1;
    },
    now: () => milliseconds,
  });
  expect(await driver.stat(key)).toBeNull();
  expect(looks).toBe(0);
  await Promise.all([driver.put(key, data), driver.remove(chunkKey('packs/00000002.pack'))]);
  expect(looks).toBe(1);
  milliseconds = 4999;
  await driver.remove(key);
  expect(looks).toBe(1);
  milliseconds = 5000;
  await driver.put(key, data);
  expect(looks).toBe(2);
});

test('from when the pool is another’s nothing is put or removed there', async () => {
  let taken = false;
  let milliseconds = 0;
  const below = new MemoryDriver();
  const driver = withGuard(below, {
    check: async () => {
      if (taken) throw new SkerryError('conflict', 'it is another’s');
    },
    now: () => milliseconds,
  });
  await driver.put(key, data);
  taken = true;
  milliseconds = 5000;
  await expect(driver.remove(key)).rejects.toMatchObject({ code: 'conflict' });
  await expect(driver.put(chunkKey('packs/00000002.pack'), data)).rejects.toMatchObject({ code: 'conflict' });
  expect(await below.stat(key)).not.toBeNull();
  expect(await driver.stat(key)).not.toBeNull();
});
