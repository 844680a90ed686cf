import { expect, it } from 'vitest';

import { keyUsePrefix } from '../../../src/catalog/keys.js';
import { KeyUses } from '../../../src/identity/key_uses.js';
import { MemoryCatalog } from './memory_catalog.js';

async function world() {
  const catalog = new MemoryCatalog();
  const keys = ['SKAAAAAAAAAAAAAAAAAA', 'SKBBBBBBBBBBBBBBBBBB'] as const;
  const value = new Uint8Array(1);
  await catalog.transact(
    [],
    keys.map((key) => ({ key: `access-key/${key}`, value })),
  );
  const uses = new KeyUses({ catalog, now: () => 5 });
  for (const key of keys) uses.note(key);
  const used = async () => (await catalog.range(keyUsePrefix)).map(({ key }) => key.slice(keyUsePrefix.length));
  return { catalog, keys, uses, used };
}

it('nothing is left of a key that is revoked while its use is written', async () => {
  const { catalog, keys, uses, used } = await world();
  let slow = true;
  catalog.turns = () => {
    if (!slow) return 1;
    slow = false;
    void catalog.transact([], [{ key: `access-key/${keys[0]}`, value: null }]);
    return 10;
  };
  await uses.flush();
  expect(await used()).toEqual([keys[1]]);
});

it('what could not be written is written with the next flush', async () => {
  const { catalog, keys, uses, used } = await world();
  catalog.next = () => 'before';
  await expect(uses.flush()).rejects.toThrow(/the disk failed/);
  catalog.next = () => 'none';
  await uses.flush();
  expect(await used()).toEqual([...keys]);
  catalog.next = () => 'before';
  await uses.flush();
});
