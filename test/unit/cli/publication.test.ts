/** skerry publication, against an API that answers. */
import { beforeEach, expect, it } from 'vitest';

import { FakeDaemon } from './fake_terminal.js';

let daemon: FakeDaemon;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
  await daemon.identity.accounts.create('acme');
});

it('a bucket is made for snapshots or images, listed and taken back', async () => {
  const volume = await daemon.run('publication create --account acme --volume vm1');
  expect(volume).toMatchObject({ code: 0, output: 'bucket volume-vm1 of account acme shows the snapshots of vm1\n' });
  const images = await daemon.run('publication create --account acme --images --bucket gallery');
  expect(images.output).toBe('bucket gallery of account acme shows the images of pool default\n');
  expect((await daemon.run('publication list')).output).toMatch(/volume-vm1 +acme +the snapshots of vm1\ngallery +acme/);
  expect(await daemon.json('publication delete gallery')).toEqual({ kind: 'publication', name: 'gallery', deleted: true });
  expect(await daemon.json('publication list')).toMatchObject([{ bucket: 'volume-vm1', shows: 'snapshots', volume: 'vm1' }]);
  await daemon.run('publication delete volume-vm1');
  expect((await daemon.run('publication list')).output).toMatch(/^nothing is published/);
});

it.each([
  ['publication create --account acme', 2, /one of --volume NAME and --images/],
  ['publication create --account acme --volume vm1 --images', 2, /one of --volume NAME and --images/],
  ['publication create --account acme --volume vm1 --pool far', 2, /--pool goes with --images/],
  ['publication create --volume vm1', 2, /--account/],
  ['publication create --account nobody --images', 3, /account nobody/],
  ['publication delete nowhere', 3, /nothing is published/],
])('%s is refused', async (line, code, words) => {
  const ran = await daemon.run(line);
  expect(ran.code).toBe(code);
  expect(ran.errors).toMatch(words);
});
