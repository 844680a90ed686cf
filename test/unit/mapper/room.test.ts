import { expect, test } from 'vitest';

import { SkerryError } from '../../../src/core/errors.ts';
import { whenThereIsRoom } from '../../../src/mapper/room.ts';

/** Fails with `code` as often as told. */
function busyFor(
  failures: number,
  code: 'try-again' | 'no-space',
): { readonly work: () => Promise<number>; readonly tries: () => number } {
  let tries = 0;
  const work = async (): Promise<number> => {
    tries += 1;
    if (tries <= failures) throw new SkerryError(code, 'no room');
    return tries;
  };
  return { work, tries: () => tries };
}

test('what there is no room for right now is tried until there is', async () => {
  expect(await whenThereIsRoom(busyFor(3, 'try-again').work)).toBe(4);
});

test('a full pool is no matter of waiting', async () => {
  const full = busyFor(1, 'no-space');
  await expect(whenThereIsRoom(full.work)).rejects.toMatchObject({ code: 'no-space' });
  expect(full.tries()).toBe(1);
});

test('who will not wait for ever gets the refusal after the last attempt', async () => {
  const busy = busyFor(5, 'try-again');
  await expect(whenThereIsRoom(busy.work, 3)).rejects.toMatchObject({ code: 'try-again' });
  expect(busy.tries()).toBe(3);
});
