import { Readable, Writable } from 'node:stream';
import { expect, it, vi } from 'vitest';

import { progressBar } from '../../../src/cli/transfer.js';
import { FakeDaemon, FakeTerminal } from './fake_terminal.js';

const running = { id: 1, state: 'running', doneBytes: 2 ** 29, totalBytes: 2 ** 30, dataBytes: 0, error: null } as const;

async function begun(line: string, terminal: FakeTerminal) {
  const daemon = await FakeDaemon.start();
  daemon.resources.finishTransfers = false;
  const ran = daemon.run(line, terminal);
  await vi.waitFor(() => expect(daemon.resources.transfers).toHaveLength(1));
  return { daemon, ran };
}

it('Ctrl-C during an import cancels it and says so', async () => {
  const terminal = new FakeTerminal();
  const { daemon, ran } = await begun('image import /srv/i.raw i', terminal);
  terminal.interrupt();
  const { code, output, errors } = await ran;
  expect({ code, output }).toEqual({ code: 1, output: '' });
  expect(errors).toBe('skerry: cancelling the import of i\nskerry: the import of i was cancelled; nothing of it was kept\n');
  expect(daemon.resources.calls).toContainEqual(['cancelTransfer', 1]);
  expect(terminal.listensForInterrupt).toBe(false);
});

it('after Ctrl-C on a terminal no bar is drawn any more', async () => {
  const terminal = new FakeTerminal();
  terminal.errColumns = 80;
  const { daemon, ran } = await begun('image import /srv/i.raw i', terminal);
  daemon.resources.cancelsAtOnce = false;
  await vi.waitFor(() => expect(terminal.errors).toContain('importing i'));
  terminal.interrupt();
  const asked = 'skerry: cancelling the import of i\n';
  await vi.waitFor(() => expect(terminal.errors).toContain(asked));
  const told = daemon.resources.transfersTold;
  await vi.waitFor(() => expect(daemon.resources.transfersTold).toBeGreaterThan(told + 1));
  daemon.resources.end(1, 'cancelled');
  await ran;
  const after = terminal.errors.slice(terminal.errors.indexOf(asked) + asked.length);
  expect(after).toContain('the import of i was cancelled');
  expect(after).not.toContain('importing');
});

it('an import that ended before Ctrl-C reached it is an import', async () => {
  const terminal = new FakeTerminal();
  const { daemon, ran } = await begun('image import /srv/i.raw i', terminal);
  daemon.resources.end(1, 'done');
  terminal.interrupt();
  expect(await ran).toMatchObject({ code: 0, output: expect.stringContaining('imported image i') as string });
});

it('a transfer that fails exits by the code of its failure', async () => {
  const { daemon, ran } = await begun('image export v /srv/v.raw', new FakeTerminal());
  daemon.resources.end(1, 'failed', { code: 'not-found', message: 'the disk went away' });
  expect(await ran).toEqual({ code: 3, output: '', errors: 'skerry: the export of v failed: the disk went away\n' });
});

it('a terminal gets a bar that is gone at the end, so that the result stands alone', async () => {
  const terminal = new FakeTerminal();
  terminal.errColumns = 80;
  const { daemon, ran } = await begun('image import /srv/i.raw i', terminal);
  await vi.waitFor(() => expect(terminal.errors).toMatch(/importing i {2}\[#+\.+\] {3}25% \(256M of 1G\)/));
  daemon.resources.end(1, 'done');
  await ran;
  expect(terminal.errors.endsWith('\r\u001b[K')).toBe(true);
});

it.each([30, 40, 80, 200])('a bar fits in %d columns', (columns) => {
  const bar = progressBar({ doing: 'importing debian-12', transfer: running, seconds: 3, columns });
  expect(bar.length).toBeLessThan(columns);
});

it('a bar shows share, amount, rate and the time left', () => {
  expect(progressBar({ doing: 'importing i', transfer: running, seconds: 2, columns: 80 })).toBe(
    `importing i  [${'#'.repeat(13)}${'.'.repeat(12)}]   50% (512M of 1G)  256M/s  2.0 s left`,
  );
});

it('where only the end will tell how much it is, there is no bar to fill', () => {
  const endless = { ...running, totalBytes: 0 };
  expect(progressBar({ doing: 'importing i', transfer: endless, seconds: 2, columns: 80 })).toBe('importing i  512M  256M/s');
});

it('standard input goes to the daemon byte by byte', async () => {
  const terminal = new FakeTerminal();
  terminal.given = Readable.from([Buffer.from('the bytes '), Buffer.from('of a disk')]);
  const daemon = await FakeDaemon.start();
  daemon.resources.finishTransfers = false;
  const { code, output } = await daemon.run('image import - i --format raw --size-max 1G', terminal);
  expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/^imported image i /) as string });
  expect(daemon.resources.calls).toContainEqual([
    'importImage',
    { name: 'i', format: 'raw', sizeBytesMax: 2 ** 30, stream: true },
  ]);
  expect(daemon.resources.received).toBe('the bytes of a disk');
});

it('an export to standard output is the disk and nothing else', async () => {
  const terminal = new FakeTerminal();
  const parts: Buffer[] = [];
  terminal.taken = new Writable({
    write: (part: Buffer, _encoding, done) => {
      parts.push(part);
      done();
    },
  });
  const daemon = await FakeDaemon.start();
  daemon.resources.finishTransfers = false;
  const { code, output, errors } = await daemon.run('image export v -', terminal);
  expect({ code, output, errors }).toEqual({ code: 0, output: '', errors: 'exported v (1G)\n' });
  expect(Buffer.concat(parts).toString()).toBe('the content');
});

it('a content that breaks off is a failure, with the words of the transfer', async () => {
  const terminal = new FakeTerminal();
  terminal.taken = new Writable({ write: (_part, _encoding, done) => done() });
  const daemon = await FakeDaemon.start();
  daemon.resources.finishTransfers = false;
  daemon.resources.contentFailure = new Error('rot');
  const ran = daemon.run('image export v -', terminal);
  await vi.waitFor(() => expect(daemon.resources.calls).toContainEqual(['sendContent', 1]));
  daemon.resources.end(1, 'failed', { code: 'corrupt', message: 'a page does not match its sum' });
  expect(await ran).toEqual({ code: 1, output: '', errors: 'skerry: the export of v failed: a page does not match its sum\n' });
});
