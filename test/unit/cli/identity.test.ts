import { beforeEach, describe, expect, it } from 'vitest';

import type { NewKeyView, UsageView } from '../../../src/api/shapes.js';
import { FakeDaemon } from './fake_terminal.js';

let daemon: FakeDaemon;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
  await daemon.run('account create acme --display-name Acme');
});

it('accounts are made, shown, renamed, suspended and deleted', async () => {
  expect((await daemon.run('account create other')).output).toBe(
    'created account other; a key for it: skerry key create other\n',
  );
  expect((await daemon.run('account list')).output).toMatch(
    /^NAME +DISPLAYED AS +STATE +LOGICAL +OBJECTS +QUOTA +NUMBER\nacme +Acme +active +0 +0 +no limit +\d{12}\nother /,
  );
  expect((await daemon.run('account show acme')).output).toMatch(
    /^name +acme\ndisplayed as +Acme\nstate +active\nnumber +(\d{12}), as in arn:aws:iam::\1:root\ncanonical id +[0-9a-f]{64}\n/,
  );
  expect((await daemon.run('account suspend other')).output).toMatch(/^account other is suspended; to undo that: /);
  expect(await daemon.json('account resume other')).toMatchObject({ name: 'other', state: 'active' });
  expect((await daemon.run('account rename other another')).output).toBe('account other is called another\n');
  expect((await daemon.run('account set another --display-name Another')).output).toBe('account another is shown as Another\n');
  expect(await daemon.run('account set another')).toMatchObject({ code: 2, output: '' });
  expect((await daemon.run('account delete another')).output).toBe('deleted account another\n');
  expect(await daemon.run('account show another')).toMatchObject({
    code: 3,
    errors: 'skerry: there is no account another; see: skerry account list\n',
  });
});

it('a key is told with its secret once, and the rest of its life without', async () => {
  expect((await daemon.run('key list acme')).output).toBe('account acme has no keys\n');
  const made = (await daemon.json('key create acme')) as NewKeyView;
  expect(Object.keys(made)).toEqual(['accessKey', 'secretKey']);
  const { output } = await daemon.run('key create acme');
  expect(output).toMatch(/^access key {2}[A-Z0-9]{20}\nsecret key {2}[A-Za-z0-9]{40}\nThe secret key is not shown again\.\n$/);
  const listed = await daemon.run('key list acme');
  expect(listed.output).toContain(made.accessKey);
  expect(listed.output).not.toContain(made.secretKey);
  expect((await daemon.run(`key deactivate ${made.accessKey}`)).output).toBe(`key ${made.accessKey} is not active\n`);
  expect((await daemon.run(`key activate ${made.accessKey}`)).output).toBe(`key ${made.accessKey} is active\n`);
  expect((await daemon.run(`key rotate ${made.accessKey}`)).output).toMatch(/^access key {2}/);
  expect(await daemon.run(`key revoke ${made.accessKey}`)).toMatchObject({ code: 3 });
});

it('users come and go with their keys', async () => {
  expect((await daemon.run('user create acme ann@example.org')).output).toBe('created user ann@example.org of account acme\n');
  expect((await daemon.run('user list acme')).output).toMatch(/^NAME +ID +CREATED\nann@example\.org +SU[A-Z0-9]{18} .*\nroot /);
  await daemon.run('key create acme --user ann@example.org');
  expect((await daemon.run('user delete acme ann@example.org')).output).toBe('deleted user ann@example.org of account acme\n');
  expect(await daemon.json('key list acme')).toEqual([]);
});

it('a quota is shown with what is held, and changes only in what is named', async () => {
  expect((await daemon.run('quota acme')).output).toBe('account  acme\nquota    no limit\nholds    0 (0 bytes) in 0 objects\n');
  await daemon.run('quota acme --size 2T --objects 5');
  await daemon.run('quota acme --size 1T');
  await daemon.run('quota acme --bucket photos --objects 1');
  expect((await daemon.run('quota acme')).output).toMatch(
    /quota +1T, 5 objects\n[^]*\n\nBUCKET +LOGICAL +OBJECTS +QUOTA\nphotos +0 +0 +1 object\n$/,
  );
  await daemon.run('quota acme --size 0 --objects 0');
  expect((await daemon.run('quota acme')).output).toContain('no limit');
  expect(await daemon.run('quota acme --objects many')).toMatchObject({ code: 2 });
});

describe('usage', () => {
  const request = { operation: 'read', status: '2xx', bytesIn: 10, bytesOut: 1024 } as const;

  it('is told by hour and bucket, or added up', async () => {
    const { id } = await daemon.identity.accounts.get('acme');
    expect((await daemon.run('usage acme')).output).toBe('nothing was done\n');
    daemon.identity.usage.record(id, 'photos', request);
    daemon.identity.usage.record(id, 'photos', { ...request, status: '4xx' });
    daemon.identity.usage.record(id, 'docs', { ...request, operation: 'write' });
    expect((await daemon.run('usage acme')).output).toMatch(
      /^FROM \(UTC\) +BUCKET +REQUESTS +ERRORS +IN +OUT +STORED +UNIQUE +OBJECTS\n\d{4}-\d\d-\d\d \d\d:00 +docs +1 +0 +10 +1K +- +- +-\n.* photos +2 +1 +20 +2K +- +- +-\n$/,
    );
    const photos = (await daemon.json('usage acme --bucket photos --from 2d --by day')) as UsageView;
    expect(photos.slices).toMatchObject([{ bucket: 'photos', seconds: 3600, requests: 2, errors: 1, bytesOut: 2048 }]);
    expect(photos.slices[0]?.from).toMatch(/T00:00:00\.000Z$/);
    const all = (await daemon.json('usage acme --by all --from 12h')) as UsageView;
    expect(all.slices.map(({ from, bucket }) => [from, bucket])).toEqual([
      [all.from, 'docs'],
      [all.from, 'photos'],
    ]);
  });

  it('of hours that are added up is their sum, with what was stored last and most', async () => {
    const { id } = await daemon.identity.accounts.get('acme');
    const hour = 3_600_000;
    const begin = Math.floor(Date.now() / hour) * hour - 2 * hour;
    const cell = { ...request, requests: 3 };
    const slice = (at: number, bytes: number | null, bytesMax: number, uniqueBytes: number | null = null) => ({
      hour: begin + at * hour,
      account: id,
      bucket: 'photos',
      cells: [cell, { ...cell, operation: 'write' as const, requests: 1 }],
      stored: bytes === null ? null : { bytes, objects: 1, bytesMax, objectsMax: 2 },
      uniqueBytes,
    });
    const { usage } = daemon.identity;
    usage.read = async () => ({ slices: [slice(0, 500, 900), slice(1, 700, 800, 400), slice(2, null, 0)], next: null });
    const { slices } = (await daemon.json('usage acme --by all')) as UsageView;
    expect(slices).toMatchObject([
      {
        seconds: 3 * 3600,
        requests: 12,
        bytesIn: 60,
        logicalBytes: 700,
        uniqueBytes: 400,
        logicalBytesMax: 900,
        objectsMax: 2,
        cells: [
          { operation: 'read', requests: 9, bytesIn: 30 },
          { operation: 'write', requests: 3, bytesOut: 3072 },
        ],
      },
    ]);
  });

  it('is asked for with times that can be understood', async () => {
    for (const from of ['2026-11-22', '2026-11-22T10:00', '2026-11-22T10:00Z', '7d', '12h'])
      expect(await daemon.run(`usage acme --from ${from} --to 2026-11-23`)).toMatchObject({
        errors: expect.not.stringContaining('write 2026'),
      });
    for (const from of ['yesterday', '2026-13-45', '7', '2026-11-22T10:00+01:00'])
      expect(await daemon.run(`usage acme --from ${from}`)).toMatchObject({
        code: 2,
        errors: expect.stringContaining('write 2026-11-23'),
      });
  });
});
