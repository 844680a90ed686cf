import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

import { allDrivers } from '../../../drivers/all.js';
import { chunkKey } from '../../../src/driver/driver.js';
import { openDriver, openDriverToRead } from '../../../src/driver/registry.js';
import { temporaryDirectory } from '../temporary_directory.js';

const key = chunkKey('a/b');
const data = Uint8Array.from([1, 2, 3]);

test('a local pool that is opened to be read is read, and nothing in it is made or changed', async () => {
  const directory = temporaryDirectory();
  const writer = await openDriver(allDrivers, 'local', { directory });
  await writer.put(key, data);
  await writer.close();
  rmSync(join(directory, '.incoming'), { recursive: true });
  const reader = await openDriverToRead(allDrivers, 'local', { directory });
  const into = new Uint8Array(3);
  expect(await reader.get(key, 0, into)).toBe(3);
  expect(into).toEqual(data);
  for await (const found of reader.list('')) expect(found).toEqual({ key, bytes: 3 });
  await expect(reader.put(chunkKey('a/c'), data)).rejects.toMatchObject({ code: 'read-only' });
  await expect(reader.remove(key)).rejects.toMatchObject({ code: 'read-only' });
  await reader.close();
  expect(new Set(readdirSync(directory, { recursive: true, encoding: 'utf8' }))).toEqual(new Set(['a', 'a/b']));
});

test('one that is not there is not made', async () => {
  const directory = join(temporaryDirectory(), 'absent');
  await expect(openDriverToRead(allDrivers, 'local', { directory })).rejects.toMatchObject({ code: 'not-found' });
  await expect(openDriverToRead(allDrivers, 'local', { directory: 'relative' })).rejects.toMatchObject({ code: 'invalid' });
});

test('a driver that cannot be opened so says it', async () => {
  await expect(openDriverToRead(allDrivers, 'memory', {})).rejects.toMatchObject({ code: 'unsupported' });
  await expect(openDriverToRead(allDrivers, 'floppy', {})).rejects.toMatchObject({ code: 'invalid' });
});
