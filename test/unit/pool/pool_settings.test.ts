import { expect, test } from 'vitest';

import { registerDriver, shownSettings } from '../../../src/driver/registry.js';
import { splitSettings } from '../../../src/pool/pool_settings.js';
import { MemoryDriver } from '../../../drivers/memory/driver.js';
import { z } from 'zod';

test('settings of the pool are told apart from those of its driver', () => {
  expect(splitSettings({ bucket: 'b', 'stall-seconds': '9' })).toEqual({
    pool: { onOutage: 'stall', stallMilliseconds: 9000 },
    driver: { bucket: 'b' },
  });
  expect(splitSettings({ 'on-outage': 'error' }).pool).toEqual({ onOutage: 'error', stallMilliseconds: 0 });
  expect(splitSettings({}).pool.stallMilliseconds).toBe(120_000);
});

test.each([
  [{ 'on-outage': 'never' }, /on-outage/],
  [{ 'stall-seconds': '0' }, /stall-seconds/],
  [{ 'stall-seconds': '1.5' }, /stall-seconds/],
  [{ 'stall-seconds': '86401' }, /stall-seconds/],
])('%o is refused with words', (settings: Record<string, string>, words) => {
  expect(() => splitSettings(settings)).toThrowError(words);
});

test('a secret is shown by its name alone, and of an unknown driver nothing is', () => {
  const registry = [
    registerDriver({
      name: 'cloud',
      description: '',
      settings: z.strictObject({ bucket: z.string(), 'secret-key': z.string() }),
      secrets: ['secret-key'],
      open: async () => new MemoryDriver(),
    }),
  ];
  const settings = { bucket: 'b', 'secret-key': 'hunter2' };
  expect(shownSettings(registry, 'cloud', settings)).toEqual({ bucket: 'b', 'secret-key': '(hidden)' });
  expect(JSON.stringify(shownSettings(registry, 'other', settings))).not.toMatch(/hunter2|"b"/);
});
