/** What `skerry pool scrub` says of a pool that is sound, and of one that is not. */
import { expect, it } from 'vitest';

import { scrubView } from '../../../src/api/shapes.js';
import { soundScrub } from '../northbound/admin/fake_scrubs.js';
import { FakeDaemon } from './fake_terminal.js';

it('all is well, and it ends with 0', async () => {
  const daemon = await FakeDaemon.start();
  expect(await daemon.run('pool scrub --status')).toMatchObject({ code: 3, output: '' });
  const sound = await daemon.run('pool scrub');
  expect(sound).toMatchObject({ code: 0, errors: '' });
  expect(sound.output).toMatch(/^read +38000 records of 40 of 40 packs, 2\.34G /m);
  expect(sound.output).toMatch(/^result +all is well$/m);
  scrubView.parse(await daemon.json('pool scrub --status'));
});

it('what is repaired ends with 0 too, what is not with 1, and names who has it', async () => {
  const daemon = await FakeDaemon.start();
  const finding = { what: 'record', missing: false, pack: 7, offset: 4096, id: 'ab', wanted: true } as const;
  const repaired = { ...finding, resource: { id: 5, name: 'vm1' }, detail: 'packs/00000007.pack at byte 4096', repaired: true };
  daemon.scrubs.next = { ...soundScrub, damaged: 1, repaired: 1, findings: [repaired], findingsTotal: 1 };
  const mended = await daemon.run('pool scrub');
  expect(mended).toMatchObject({ code: 0, errors: '' });
  expect(mended.output).toMatch(/^damaged +1 record, 1 of them repaired$/m);
  expect(mended.output).toMatch(/^record +yes +vm1 +packs\/00000007\.pack at byte 4096/m);
  daemon.scrubs.next = { ...daemon.scrubs.next, repaired: 0, lost: 1, open: 1, findings: [{ ...repaired, repaired: false }] };
  const lost = await daemon.run('pool scrub');
  expect(lost).toMatchObject({ code: 1, errors: '' });
  expect(lost.output).toMatch(/^result +1 open finding$/m);
});

it('a run that failed says why', async () => {
  const daemon = await FakeDaemon.start();
  daemon.scrubs.next = { ...soundScrub, state: 'failed', error: 'the pool is too large' };
  const failed = await daemon.run('pool scrub');
  expect(failed.code).toBe(1);
  expect(failed.errors).toMatch(/pool default was not scrubbed: the pool is too large/);
});
