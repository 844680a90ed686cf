import { describe, expect, it } from 'vitest';

import { columnsOf, cutEnd, cutMiddle, wrapped } from '../../../src/cli/characters.js';
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
  terminal.environment['NO_COLOR'] = '1';
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
  const table = formatTable([{ title: 'NAME', value: (row: string) => row }], ['abcdefghijklmnopqrstuvwxyz'], { width: 11 });
  expect(table).toBe('NAME\nabcde…vwxyz');
});

it('cells that bear it lose their end before any column is left out', async () => {
  const rows = [{ name: 'vm1', about: 'the books of all the years that anybody can remember' }];
  const columns = [
    { title: 'NAME', value: ({ name }: (typeof rows)[0]) => name },
    { title: 'ABOUT', value: ({ about }: (typeof rows)[0]) => about, leaveOut: 1, cutTo: 12 },
  ];
  expect(formatTable(columns, rows, { width: 30 })).toBe('NAME  ABOUT\nvm1   the books of all the ye…');
  expect(formatTable(columns, rows, { width: 18 })).toBe('NAME  ABOUT\nvm1   the books o…');
  expect(formatTable(columns, rows, { width: 17 })).toBe('NAME\nvm1');
  expect(formatTable(columns, rows, { width: null })).toContain(rows[0]?.about);
});

it('a column without a single value is left out', () => {
  const columns = [
    { title: 'NAME', value: ([name = '']: readonly string[]) => name },
    { title: 'ABOUT', value: ([, about = '']: readonly string[]) => about },
  ];
  expect(formatTable(columns, [['vm1'], ['vm2', '']], { width: null })).toBe('NAME\nvm1\nvm2');
  expect(formatTable(columns, [['vm1'], ['vm2', 'db']], { width: null })).toBe('NAME  ABOUT\nvm1\nvm2   db');
});

it('wide characters take two columns, and none that steers a terminal gets there', () => {
  expect(columnsOf('岩礁')).toBe(4);
  expect(columnsOf('e\u0301')).toBe(1);
  expect(columnsOf('🪨a')).toBe(3);
  expect(cutEnd('岩礁岩礁', 6)).toBe('岩礁…');
  expect(cutMiddle('岩礁岩礁岩礁', 9)).toBe('岩礁…岩礁');
  const table = formatTable(
    [
      { title: 'A', value: (row: string) => row },
      { title: 'B', value: () => 'x' },
    ],
    ['a\u001b[31m\n', '岩礁'],
    {
      width: null,
    },
  );
  expect(table.split('\n')).toEqual([`A${' '.repeat(14)}B`, String.raw`a\u001b[31m\n  x`, `岩礁${' '.repeat(11)}x`]);
});

it('a long sentence is broken at spaces, and only for a terminal', () => {
  expect(wrapped('one two three four five six', 24, 2)).toBe('one two three four\n  five six');
  expect(wrapped('one two three', null, 2)).toBe('one two three');
});

describe('colors', () => {
  const shown = async (line: string, environment: Record<string, string> = {}, columns: number | null = 80): Promise<string> => {
    const daemon = await FakeDaemon.start();
    const terminal = new FakeTerminal();
    terminal.outColumns = columns;
    terminal.errColumns = columns;
    Object.assign(terminal.environment, environment);
    const { output, errors } = await daemon.run(line, terminal);
    return (output + errors).replaceAll(daemon.directory, '/data');
  };
  const lines = ['pool list', 'status', 'pool show none', '--help', 'volume create --help'];

  it('are there on a terminal', async () => {
    for (const line of lines) expect(await shown(line)).toContain('\u001b[');
  });

  it('are not there for NO_COLOR, --no-color, a dumb terminal or a pipe, and the words are the same', async () => {
    for (const line of lines) {
      const words = (await shown(line))
        .split('\u001b')
        .map((part, at) => (at === 0 ? part : part.replace(/^\[\d+m/, '')))
        .join('');
      expect(await shown(line, { NO_COLOR: '1' })).toBe(words);
      expect(await shown(`${line} --no-color`)).toBe(words);
      expect(await shown(line, { TERM: 'dumb' })).toBe(words);
      expect(await shown(line, {}, null)).not.toContain('\u001b');
    }
  });
});

it('facts without a value are left out', () => {
  const facts = [
    ['a', '1'],
    ['none', null],
    ['long', '2'],
  ] as const;
  expect(formatFacts(facts, { width: null })).toBe('a     1\nlong  2');
});

it('a fact that is too long for the terminal goes on below where it began, and a word that is, too', () => {
  const facts = [
    ['name', 'vm1'],
    ['labels', 'role=db team=storage where=here'],
    ['root', 'x'.repeat(45)],
  ] as const;
  expect(formatFacts(facts, { width: 30 })).toBe(
    `name    vm1\nlabels  role=db team=storage\n        where=here\nroot    ${'x'.repeat(22)}\n        ${'x'.repeat(22)}\n        x`,
  );
  expect(formatFacts(facts, { width: null }).split('\n')).toHaveLength(3);
});

it.each([
  [0.04, '0.0 s'],
  [59.6, '1 min 0 s'],
  [3725, '1 h 2 min'],
  [100_000, '1 d 3 h'],
])('%d seconds are %s', (seconds, words) => {
  expect(duration(seconds)).toBe(words);
});
