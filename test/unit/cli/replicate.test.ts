/** skerry volume replicate, against an API that answers. */
import { beforeEach, expect, it } from 'vitest';

import { FakeDaemon } from './fake_terminal.js';

let daemon: FakeDaemon;

beforeEach(async () => {
  daemon = await FakeDaemon.start();
});

it('a replication is begun, told of and ended', async () => {
  const begun = await daemon.run('volume replicate vm1 --to far --every 5m --keep 7');
  expect(begun.output).toMatch(/every +5 min 0 s; 7 replicas kept\n.*replica +vm1\.replica-/s);
  expect(begun.output).not.toMatch(/^late/m);
  expect(await daemon.json('volume replicate vm1 --status')).toMatchObject({ volume: 'vm1', everySeconds: 300, keep: 7 });
  expect(await daemon.json('volume replicate vm1 --stop')).toMatchObject({ state: 'stopped' });
});

it('all are listed, and what is late or fails is seen at once', async () => {
  expect((await daemon.run('volume replicate --list')).output).toMatch(/^no volume is replicated; .*--to POOL --every 5m/);
  await daemon.run('volume replicate vm1 --to far --every 5m');
  expect((await daemon.run('volume replicate --list')).output).toMatch(
    /^VOLUME +TO +EVERY +LAG.*\nvm1 +far +5 min 0 s +42 s +waiting /,
  );
  daemon.replications.change({ state: 'failing', late: true, lagSeconds: 1000, error: 'pool far is full' });
  expect((await daemon.run('volume replicate --list')).output).toMatch(/16 min 40 s +failing, late .*pool far is full/);
  expect((await daemon.run('volume replicate vm1 --status')).output).toMatch(
    /late +.*to be 5 min 0 s old, and it is 16 min 40 s/,
  );
  expect(await daemon.json('volume replicate --list')).toMatchObject([{ volume: 'vm1', late: true }]);
});

it.each([
  ['volume replicate vm1', /--to POOL and --every TIME/],
  ['volume replicate vm1 --to far', /--to POOL and --every TIME/],
  ['volume replicate vm1 --status --stop', /one of --status, --stop and --list/],
  ['volume replicate --stop', /give the name of the volume/],
  ['volume replicate vm1 --list', /give no name/],
])('%s is refused', async (line, words) => {
  const ran = await daemon.run(line);
  expect(ran.code).toBe(2);
  expect(ran.errors).toMatch(words);
});
