/** Accounts, users, keys, quotas and usage of a real daemon, through restarts and kill -9; and nobody's secret where it must not be. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

import type { AccountView, KeyView, NewKeyView, QuotaView, UsageView, UserView } from '../../src/api/shapes.js';
import { openLmdbCatalog } from '../../src/catalog/lmdb.js';
import { connect } from '../../src/control/client.js';
import { Identity } from '../../src/identity/identity.js';
import { DaemonProcess } from '../harness/daemon_process.ts';

let daemon: DaemonProcess;
let scratch: string;

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-identity-'));
  daemon = new DaemonProcess();
  await daemon.start();
});
afterEach(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

async function restart(signal: NodeJS.Signals): Promise<void> {
  await daemon.kill(signal);
  await daemon.start();
}

/** What a protocol would get for these keys from the data directory of a daemon that does not run: secrets, null for what opens nothing. */
async function opened(accessKeys: readonly string[]): Promise<(string | null)[]> {
  const catalog = await openLmdbCatalog({ directory: daemon.directory });
  const options = {
    catalog,
    dataDirectory: daemon.directory,
    now: Date.now,
    holds: async () => null,
    usageDays: 90,
    log: () => {},
  };
  const identity = await Identity.open(options);
  const found = await Promise.all(accessKeys.map((accessKey) => identity.keys.byAccessKey(accessKey)));
  await identity.stop();
  await catalog.close();
  return found.map((one) => one?.secretKey ?? null);
}

/** Files of the data directory that hold these bytes. */
function filesWith(text: string): string[] {
  const files = readdirSync(daemon.directory, { withFileTypes: true, recursive: true }).filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name));
  return paths.filter((path) => readFileSync(path).includes(text));
}

it('what was made is there after a restart and after kill -9, and opens', async () => {
  const acme = await daemon.json<AccountView>('account', 'create', 'acme', '--display-name', 'Acme Ltd');
  expect(acme).toMatchObject({ name: 'acme', displayName: 'Acme Ltd', state: 'active', logicalBytes: 0, objects: 0 });
  const ann = await daemon.json<UserView>('user', 'create', 'acme', 'ann@example.org');
  const keys = [
    await daemon.json<NewKeyView>('key', 'create', 'acme'),
    await daemon.json<NewKeyView>('key', 'create', 'acme', '--user', 'ann@example.org'),
  ];
  expect(Object.keys(keys[0] ?? {})).toEqual(['accessKey', 'secretKey']);
  await daemon.ok('quota', 'acme', '--size', '2T', '--objects', '1000000');
  await daemon.ok('quota', 'acme', '--bucket', 'photos', '--size', '500G');
  for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
    await restart(signal);
    expect(await daemon.json('account', 'show', 'acme')).toEqual({ ...acme, quota: { bytes: 2 ** 41, objects: 1_000_000 } });
    expect(await daemon.json<UserView[]>('user', 'list', 'acme')).toContainEqual(ann);
    const listed = await daemon.json<KeyView[]>('key', 'list', 'acme');
    expect(listed.map(({ accessKey }) => accessKey).toSorted()).toEqual(keys.map(({ accessKey }) => accessKey).toSorted());
    expect(await daemon.json<QuotaView>('quota', 'acme')).toMatchObject({
      quota: { bytes: 2 ** 41, objects: 1_000_000 },
      buckets: [{ bucket: 'photos', quota: { bytes: 500 * 2 ** 30, objects: 0 }, logicalBytes: 0, objects: 0 }],
    });
  }
  expect(await daemon.json<UsageView>('usage', 'acme', '--by', 'day')).toMatchObject({ account: 'acme', slices: [] });
  await daemon.kill();
  expect(await opened(keys.map(({ accessKey }) => accessKey))).toEqual(keys.map(({ secretKey }) => secretKey));
});

it('a secret is told once: it is in no file, no log and no other answer', async () => {
  await daemon.ok('account', 'create', 'acme');
  const { accessKey, secretKey } = await daemon.json<NewKeyView>('key', 'create', 'acme');
  for (const words of [['key', 'list', 'acme'], ['account', 'show', 'acme'], ['status']])
    expect((await daemon.cli(...words, '--json')).stdout).not.toContain(secretKey);
  expect(await daemon.ok('key', 'list', 'acme')).toContain(accessKey);
  await daemon.kill('SIGTERM');
  expect(filesWith(accessKey).map((path) => path.slice(daemon.directory.length + 1))).toEqual(['catalog/data.mdb']);
  expect(filesWith(secretKey)).toEqual([]);
  expect(daemon.log).not.toContain(secretKey);
  expect(statSync(join(daemon.directory, 'identity.key')).mode & 0o777).toBe(0o600);
});

it('what closes a key holds after kill -9', async () => {
  await daemon.ok('account', 'create', 'acme');
  await daemon.ok('account', 'create', 'other');
  const make = async (account: string) => (await daemon.json<NewKeyView>('key', 'create', account)).accessKey;
  const [revoked, inactive, rotated, suspended] = [
    await make('acme'),
    await make('acme'),
    await make('acme'),
    await make('other'),
  ];
  await daemon.ok('key', 'revoke', revoked);
  await daemon.ok('key', 'deactivate', inactive);
  const fresh = await daemon.json<NewKeyView>('key', 'rotate', rotated);
  await daemon.ok('account', 'suspend', 'other');
  await daemon.kill();
  expect(await opened([revoked, inactive, rotated, suspended, fresh.accessKey])).toEqual([
    null,
    null,
    null,
    null,
    fresh.secretKey,
  ]);
  await daemon.start();
  await daemon.ok('key', 'activate', inactive);
  await daemon.ok('account', 'resume', 'other');
  await daemon.kill();
  expect((await opened([inactive, suspended])).map((secret) => secret?.length)).toEqual([40, 40]);
});

it('no key whose making was answered is lost to a kill, and none is there that nobody asked for', async () => {
  await daemon.ok('account', 'create', 'acme');
  const answered = new Map<string, string>();
  let asked = 0;
  for (let round = 0; round < 3; round += 1) {
    const client = connect({ dataDirectory: daemon.directory });
    const makeMany = async (): Promise<never> => {
      for (;;) {
        asked += 1;
        const { accessKey, secretKey } = await client.identity.createKey('acme');
        answered.set(accessKey, secretKey);
      }
    };
    // Each ends with the daemon.
    const making = Promise.allSettled(Array.from({ length: 4 }, makeMany));
    const enough = answered.size + 10;
    await expect.poll(() => answered.size, { timeout: 60_000, interval: 5 }).toBeGreaterThanOrEqual(enough);
    await daemon.kill();
    await making;
    client.close();
    await daemon.start();
  }
  const listed = (await daemon.json<KeyView[]>('key', 'list', 'acme')).map(({ accessKey }) => accessKey);
  expect(listed).toEqual(expect.arrayContaining([...answered.keys()]));
  expect(listed.length).toBeLessThanOrEqual(asked);
  await daemon.kill();
  expect(await opened([...answered.keys()])).toEqual([...answered.values()]);
});

it('without its identity key a daemon serves disks, says what is wrong, and opens no account', async () => {
  await daemon.ok('account', 'create', 'acme');
  const { accessKey, secretKey } = await daemon.json<NewKeyView>('key', 'create', 'acme');
  const file = join(daemon.directory, 'identity.key');
  await daemon.kill('SIGTERM');
  copyFileSync(file, join(scratch, 'kept'));
  rmSync(file);
  await daemon.start();
  await daemon.ok('volume', 'create', 'vm1', '--size', '1G');
  const status = await daemon.json<{ problems: string[] }>('status');
  expect(status.problems).toEqual([
    expect.stringMatching(/^IDENTITY: .*identity\.key is gone\. Put a copy of the right one back/),
  ]);
  expect(await daemon.cli('key', 'create', 'acme')).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/identity\.key is gone/),
  });
  expect(await daemon.ok('key', 'list', 'acme')).toContain(accessKey);

  await daemon.kill('SIGTERM');
  copyFileSync(join(scratch, 'kept'), file);
  await daemon.start();
  expect((await daemon.json<{ problems: string[] }>('status')).problems).toEqual([]);
  await daemon.kill('SIGTERM');
  expect(await opened([accessKey])).toEqual([secretKey]);
});

it('the command refuses what cannot be, with its reason and exit code', async () => {
  await daemon.ok('account', 'create', 'acme');
  const { accessKey } = await daemon.json<NewKeyView>('key', 'create', 'acme');
  const refused: readonly [words: readonly string[], code: number, message: RegExp][] = [
    [['account', 'create', 'acme'], 4, /there is an account acme already/],
    [['account', 'create', 'Acme'], 2, /"A" is not allowed/],
    [['account', 'show', 'nobody'], 3, /there is no account nobody; see: skerry account list/],
    [['user', 'delete', 'acme', 'root'], 4, /first user of account acme/],
    [['key', 'create', 'acme', '--user', 'bob'], 3, /no user bob/],
    [['key', 'revoke', 'SKAAAAAAAAAAAAAAAAAA'], 3, /no such access key/],
    [['quota', 'acme', '--size', 'much'], 2, /--size/],
    [['quota', 'acme', '--bucket', 'photos'], 2, /--size, --objects or both/],
    [['usage', 'acme', '--from', 'yesterday'], 2, /7d or 12h/],
    [['usage', 'acme', '--from', '2020-01-01'], 2, /at most 92 days/],
  ];
  for (const [words, code, message] of refused)
    expect({ words, ...(await daemon.cli(...words)) }).toMatchObject({
      words,
      code,
      stdout: '',
      stderr: expect.stringMatching(message),
    });
  expect(await daemon.ok('account', 'delete', 'acme')).toBe('deleted account acme');
  await daemon.kill();
  expect(await opened([accessKey])).toEqual([null]);
});
