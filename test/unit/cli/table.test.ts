import { expect, it } from 'vitest';

import { formatFacts, formatTable } from '../../../src/cli/table.js';
import { duration } from '../../../src/cli/words.js';
import { FakeDaemon, FakeTerminal } from './fake_terminal.js';

async function listing(columns: number | null): Promise<string[]> {
  const daemon = await FakeDaemon.start();
  daemon.resources.put({ kind: 'volume', name: 'vm1', sizeBytes: 3 * 2 ** 30, parent: 'debian-12.raw', attachedConnections: 4 });
  daemon.resources.put({
    kind: 'volume',
    name: 'a'.repeat(56),
    sizeBytes: 1.5 * 2 ** 40,
    description: 'The books of 2026, kept till 2036',
  });
  const terminal = new FakeTerminal();
  terminal.outColumns = columns;
  const { output } = await daemon.run('volume list', terminal);
  return output.trimEnd().split('\n');
}

it('a listing at 200 columns shows all', async () => {
  const lines = await listing(200);
  expect(lines[0]).toMatch(/^NAME +SIZE +ATTACHED +CACHE +POOL +CREATED +PARENT +DESCRIPTION$/);
  expect(lines[1]).toMatch(/^vm1 +3G +4 connections +writeback +default +2026-11-21 \d\d:\d\d +debian-12\.raw$/);
  expect(lines[2]).toMatch(/^a{56} +1\.5T +- .* The books of 2026, kept till 2036$/);
});

it('a listing at 80 columns drops what matters least and keeps names whole', async () => {
  const lines = await listing(80);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  expect(lines[0]).toMatch(/^NAME +SIZE +ATTACHED$/);
  expect(lines[2]).toContain('a'.repeat(56));
});

it('where there is no terminal nothing is cut', async () => {
  expect(await listing(null)).toEqual(await listing(10_000));
});

it('cells lose their middle when nothing can be dropped any more', () => {
  const table = formatTable([{ title: 'NAME', value: (row: string) => row }], ['abcdefghijklmnopqrstuvwxyz'], 11);
  expect(table).toBe('NAME\nabcde…vwxyz');
});

it('facts without a value are left out', () => {
  expect(
    formatFacts([
      ['a', '1'],
      ['none', null],
      ['long', '2'],
    ]),
  ).toBe('a     1\nlong  2');
});

it.each([
  [0.04, '0.0 s'],
  [59.6, '1 min 0 s'],
  [3725, '1 h 2 min'],
  [100_000, '1 d 3 h'],
])('%d seconds are %s', (seconds, words) => {
  expect(duration(seconds)).toBe(words);
});
