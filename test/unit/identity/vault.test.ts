import { createHash } from 'node:crypto';
import { copyFileSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';

import { encodeKeyFile, readKeyFile } from '../../../src/identity/key_file.js';
import { Vault } from '../../../src/identity/vault.js';
import { temporaryDirectory } from '../temporary_directory.js';
import { openWorld, reopen, type World } from './world.js';

const code = (what: string) => expect.objectContaining({ code: what });
const key = Uint8Array.from({ length: 32 }, (_, index) => index);
const golden = readFileSync(new URL('golden/identity_key_v1', import.meta.url), 'utf8');

it('the file is read, and written as it always was', () => {
  expect(encodeKeyFile(key)).toBe(golden);
  const file = join(temporaryDirectory(), 'identity.key');
  expect(readKeyFile(file)).toBeNull();
  writeFileSync(file, golden);
  expect(readKeyFile(file)).toEqual(key);
});

it('a file that is damaged or newer is refused', () => {
  const file = join(temporaryDirectory(), 'identity.key');
  for (let at = 0; at < golden.length - 1; at += 7) {
    writeFileSync(file, `${golden.slice(0, at)}${golden[at] === 'a' ? 'b' : 'a'}${golden.slice(at + 1)}`);
    expect(() => readKeyFile(file)).toThrow(code('corrupt'));
  }
  const newer = { version: 2, key: 'x' };
  writeFileSync(file, encodeAs(newer));
  expect(() => readKeyFile(file)).toThrow(code('unsupported'));
});

function encodeAs(value: object): string {
  const body = JSON.stringify(value);
  return `${body}\n${createHash('sha256').update(body).digest('hex')}\n`;
}

it('what is wrapped opens at its own place under its own key only, and no bit of it may change', () => {
  const vault = new Vault(key);
  const wrapped = vault.wrap('access-key/A', Buffer.from('secret'));
  expect(Buffer.from(vault.unwrap('access-key/A', wrapped)).toString()).toBe('secret');
  expect(vault.wrap('access-key/A', Buffer.from('secret'))).not.toEqual(wrapped);
  expect(() => vault.unwrap('access-key/B', wrapped)).toThrow(code('corrupt'));
  expect(() => new Vault(key.map((byte) => byte ^ 1)).unwrap('access-key/A', wrapped)).toThrow(code('corrupt'));
  for (let at = 1; at < wrapped.length; at += 1) {
    const changed = Uint8Array.from(wrapped, (byte, index) => (index === at ? byte ^ 0x40 : byte));
    expect(() => vault.unwrap('access-key/A', changed)).toThrow(code('corrupt'));
  }
  expect(() => vault.unwrap('access-key/A', wrapped.subarray(0, 20))).toThrow(code('corrupt'));
  expect(() =>
    vault.unwrap(
      'access-key/A',
      Uint8Array.from(wrapped, (byte, index) => (index === 0 ? 2 : byte)),
    ),
  ).toThrow(code('unsupported'));
});

const file = ({ directory }: World): string => join(directory, 'identity.key');

it('the file is made at the first start, for its owner only, and stays', async () => {
  const world = await openWorld();
  expect(statSync(file(world)).mode & 0o777).toBe(0o600);
  const before = readFileSync(file(world));
  await reopen(world);
  expect(readFileSync(file(world))).toEqual(before);
});

it.each(['gone', 'another', 'damaged'])(
  'with accounts, a file that is %s is not replaced, and what needs no secret goes on',
  async (how) => {
    const world = await openWorld();
    await world.identity.accounts.create('acme');
    const { accessKey } = await world.identity.keys.create('acme');
    const kept = join(temporaryDirectory(), 'kept');
    copyFileSync(file(world), kept);
    if (how === 'gone') rmSync(file(world));
    else writeFileSync(file(world), how === 'another' ? encodeKeyFile(new Uint8Array(32)) : 'nonsense');
    const shut = await reopen(world);
    expect(shut.identity.problem).toMatch(
      /no account's secrets can be used: .*identity\.key is (gone|damaged|not the one).*[Pp]ut a copy/,
    );
    await expect(shut.identity.keys.byAccessKey(accessKey)).rejects.toEqual(code('unavailable'));
    await expect(shut.identity.keys.create('acme')).rejects.toEqual(code('unavailable'));
    await expect(shut.identity.accounts.create('other')).rejects.toEqual(code('unavailable'));
    expect((await shut.identity.keys.list('acme')).map((one) => one.accessKey)).toEqual([accessKey]);
    await shut.identity.keys.setActive(accessKey, false);

    copyFileSync(kept, file(world));
    const open = await reopen(shut);
    expect(open.identity.problem).toBeNull();
    await open.identity.keys.setActive(accessKey, true);
    expect(await open.identity.keys.byAccessKey(accessKey)).not.toBeNull();
  },
);

it('without accounts a file that is gone is made anew', async () => {
  const world = await openWorld();
  rmSync(file(world));
  const { identity } = await reopen(world);
  expect(identity.problem).toBeNull();
  await identity.accounts.create('acme');
});
