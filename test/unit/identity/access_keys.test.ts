import { expect, it } from 'vitest';

import { keyUsePrefix } from '../../../src/catalog/keys.js';
import { SkerryError } from '../../../src/core/errors.js';
import { openWorld, reopen } from './world.js';

const code = (what: string) => expect.objectContaining({ code: what });

async function withAccount() {
  const world = await openWorld();
  await world.identity.accounts.create('acme');
  const { accounts, users, keys } = world.identity;
  return { ...world, world, accounts, users, keys };
}

it('a key has 20 and 40 characters, opens what it is of, and its secret is not in the catalog', async () => {
  const { world, keys, catalog } = await withAccount();
  const made = await keys.create('acme');
  expect(made.accessKey).toMatch(/^[A-Z0-9]{20}$/);
  expect(made.secretKey).toMatch(/^[A-Za-z0-9+/]{40}$/);
  const found = await keys.byAccessKey(made.accessKey);
  expect(found).toMatchObject({ secretKey: made.secretKey, principal: { accountName: 'acme', user: 'root', root: true } });
  const values = (await catalog.range('')).map(({ value }) => Buffer.from(value).toString('latin1'));
  expect(values.some((value) => value.includes(made.secretKey))).toBe(false);
  expect(JSON.stringify(await keys.list('acme'))).not.toContain(made.secretKey);
  // As the next start reads it.
  expect(await (await reopen(world)).identity.keys.byAccessKey(made.accessKey)).toEqual(found);
});

it('what closes a key closes it also where nobody heard that it was made', async () => {
  const { keys, users, accounts, catalog } = await withAccount();
  await users.create('acme', 'ann');
  const { accessKey } = await keys.create('acme', 'ann');
  const transact = catalog.transact.bind(catalog);
  const unheard = async (change: () => Promise<unknown>): Promise<boolean> => {
    expect(await keys.byAccessKey(accessKey)).not.toBeNull();
    catalog.transact = async (...args) => {
      await transact(...args);
      throw new SkerryError('io', 'the disk failed after');
    };
    await expect(change()).rejects.toEqual(code('io'));
    catalog.transact = transact;
    return (await keys.byAccessKey(accessKey)) !== null;
  };
  expect(await unheard(() => keys.setActive(accessKey, false))).toBe(false);
  await keys.setActive(accessKey, true);
  expect(await unheard(() => accounts.suspend('acme'))).toBe(false);
  await accounts.resume('acme');
  expect(await unheard(() => users.remove('acme', 'ann'))).toBe(false);
});

it('what is no key opens nothing', async () => {
  const { keys } = await withAccount();
  for (const text of ['', 'SK', 'SKAAAAAAAAAAAAAAAAAA', '../account/0000000000', 'é'.repeat(20)])
    expect(await keys.byAccessKey(text)).toBeNull();
  await expect(keys.revoke('SKAAAAAAAAAAAAAAAAAA')).rejects.toEqual(code('not-found'));
});

it('a revocation, and whatever else closes a key, holds from the moment it is answered', async () => {
  const { keys, users, accounts } = await withAccount();
  await users.create('acme', 'ann');
  const { accessKey } = await keys.create('acme', 'ann');
  const opens = async () => (await keys.byAccessKey(accessKey)) !== null;
  expect(await opens()).toBe(true);
  await keys.setActive(accessKey, false);
  expect(await opens()).toBe(false);
  await keys.setActive(accessKey, true);
  expect(await opens()).toBe(true);
  await accounts.suspend('acme');
  expect(await opens()).toBe(false);
  await accounts.resume('acme');
  expect(await opens()).toBe(true);
  await accounts.rename('acme', 'acme2');
  expect((await keys.byAccessKey(accessKey))?.principal.accountName).toBe('acme2');
  await users.remove('acme2', 'ann');
  expect(await opens()).toBe(false);
  const another = await keys.create('acme2');
  await keys.byAccessKey(another.accessKey);
  await keys.revoke(another.accessKey);
  expect(await keys.byAccessKey(another.accessKey)).toBeNull();
  expect(await keys.list('acme2')).toEqual([]);
});

it('a look-up that was under way when the key was revoked leaves nothing behind', async () => {
  const { keys } = await withAccount();
  for (let round = 0; round < 4; round += 1) {
    const { accessKey } = await keys.create('acme');
    const [, ...looked] = await Promise.all([
      keys.revoke(accessKey),
      ...Array.from({ length: 5 }, () => keys.byAccessKey(accessKey)),
    ]);
    expect(looked).toHaveLength(5);
    expect(await keys.byAccessKey(accessKey)).toBeNull();
  }
});

it('a change that somebody else made in the catalog is seen too', async () => {
  const { keys, catalog } = await withAccount();
  const { accessKey } = await keys.create('acme');
  expect(await keys.byAccessKey(accessKey)).not.toBeNull();
  await catalog.transact([], [{ key: `access-key/${accessKey}`, value: null }]);
  await expect.poll(() => keys.byAccessKey(accessKey)).toBeNull();
});

it('a rotation gives the same user another key and closes the old one', async () => {
  const { keys, users } = await withAccount();
  await users.create('acme', 'ann');
  const old = await keys.create('acme', 'ann');
  const fresh = await keys.rotate(old.accessKey);
  expect(await keys.byAccessKey(old.accessKey)).toBeNull();
  expect(await keys.byAccessKey(fresh.accessKey)).toMatchObject({ secretKey: fresh.secretKey, principal: { user: 'ann' } });
  await expect(keys.rotate(old.accessKey)).rejects.toEqual(code('not-found'));
  const outcomes = await Promise.allSettled([keys.rotate(fresh.accessKey), keys.rotate(fresh.accessKey)]);
  expect(outcomes.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  expect(await keys.list('acme')).toHaveLength(1);
});

it('no key outlives its user, however the two race', async () => {
  const { keys, users } = await withAccount();
  for (let round = 0; round < 4; round += 1) {
    await users.create('acme', 'ann');
    const old = await keys.create('acme', 'ann');
    await Promise.allSettled([
      keys.create('acme', 'ann'),
      keys.rotate(old.accessKey),
      users.remove('acme', 'ann'),
      keys.create('acme', 'ann'),
    ]);
    await users.remove('acme', 'ann').catch(() => undefined);
    expect(await keys.list('acme')).toEqual([]);
  }
});

it('the root user stays', async () => {
  const { users } = await withAccount();
  await expect(users.remove('acme', 'root')).rejects.toEqual(code('conflict'));
  await expect(users.remove('acme', 'nobody')).rejects.toEqual(code('not-found'));
});

it('the last use is written with the next flush, and nothing is left of a key that is gone by then', async () => {
  const { keys, clock, identity, catalog } = await withAccount();
  const [a, b] = [await keys.create('acme'), await keys.create('acme')];
  expect((await keys.get(a.accessKey)).lastUsedAt).toBeNull();
  keys.noteUse(a.accessKey);
  keys.noteUse(b.accessKey);
  keys.noteUse('SKAAAAAAAAAAAAAAAAAA');
  await keys.revoke(b.accessKey);
  await identity.flush();
  expect((await keys.get(a.accessKey)).lastUsedAt).toBe(clock.now);
  expect((await catalog.range(keyUsePrefix)).map(({ key }) => key)).toEqual([keyUsePrefix + a.accessKey]);
  // A use does not take the key out of the cache, nor does it conflict with a change of it.
  expect(await keys.byAccessKey(a.accessKey)).not.toBeNull();
});
