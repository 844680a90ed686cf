import type { Command } from 'commander';
import { describe, expect, it } from 'vitest';

import { argumentKinds, pathOf } from '../../../src/cli/completion.js';
import { buildProgram, runCommand } from '../../../src/cli/program.js';
import { FakeDaemon, FakeTerminal } from './fake_terminal.js';

/** What is offered for the last word. */
async function offered(daemon: FakeDaemon, ...words: string[]): Promise<string[]> {
  const terminal = new FakeTerminal();
  terminal.environment['SKERRY_DATA'] = daemon.directory;
  expect(await runCommand(['__complete', ...words], terminal)).toBe(0);
  expect(terminal.errors).toBe('');
  return terminal.output
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => line.split('\t')[0] ?? '');
}

async function furnished(): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.start();
  daemon.resources.put({ kind: 'volume', name: 'vm1', description: 'a\ttab' });
  daemon.resources.put({ kind: 'volume', name: 'web' });
  daemon.resources.put({ kind: 'snapshot', name: 'vm1@monday' });
  daemon.resources.put({ kind: 'snapshot', name: 'web@monday' });
  daemon.resources.put({ kind: 'image', name: 'debian-12' });
  return daemon;
}

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap((one) => leaves(one));
}

it('knows of every command what its arguments are', () => {
  const commands = leaves(buildProgram(new FakeTerminal()));
  expect(Object.keys(argumentKinds).sort()).toEqual(commands.map(pathOf).sort());
  for (const command of commands)
    expect({ command: pathOf(command), kinds: argumentKinds[pathOf(command)]?.length }).toEqual({
      command: pathOf(command),
      kinds: command.registeredArguments.length,
    });
});

describe('offers', () => {
  it.each<[readonly string[], readonly string[]]>([
    [['vol'], ['volume']],
    [['volume', 'res'], ['resize']],
    [
      ['volume', 'show', ''],
      ['vm1', 'web'],
    ],
    [['volume', 'show', 'w'], ['web']],
    [['volume', 'show', 'vm1', ''], []],
    [['volume', 'rename', 'vm1', ''], []],
    [['--json', 'volume', 'show', 'v'], ['vm1']],
    [['volume', 'uri', 'vm1@'], ['vm1@monday']],
    [['volume', 'rollback', 'web@m'], ['web@monday']],
    [
      ['snapshot', 'delete', ''],
      ['vm1@monday', 'web@monday'],
    ],
    [
      ['clone', ''],
      ['vm1', 'web', 'debian-12', 'vm1@monday', 'web@monday'],
    ],
    [['image', 'show', ''], ['debian-12']],
    [['image', 'export', 'deb'], ['debian-12']],
    [['image', 'export', 'debian-12', ''], [':files']],
    [['image', 'import', ''], [':files']],
    [
      ['image', 'export', '--format', ''],
      ['raw', 'qcow2'],
    ],
    [['image', 'export', '--com'], ['--compress']],
    [['image', 'export', '--format=q'], ['--format=qcow2']],
    [['volume', 'create', 'a', '--from=deb'], ['--from=debian-12']],
    [['--data='], [':files']],
    [['volume', 'create', 'a', '--from', 'deb'], ['debian-12']],
    [['volume', 'create', 'a', '--pool', ''], ['default']],
    [['volume', 'create', 'a', '--size', ''], []],
    [['pool', 'show', ''], ['default']],
    [['--data', ''], [':files']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['nonsense', 'x', ''], []],
  ])('skerry %j: %j', async (words, expected) => {
    const found = await offered(await furnished(), ...words);
    expect(expected.length === 0 || words.length === 1 ? found.filter((one) => !one.startsWith('-')) : found).toEqual(
      words[0] === 'nonsense' ? found : expected,
    );
  });

  it('all that begins the line, and global options beside those of a command', async () => {
    const daemon = await furnished();
    const verbs = await offered(daemon, '');
    expect(verbs).toEqual(expect.arrayContaining(['serve', 'status', 'top', 'volume', 'clone', 'completion']));
    expect(verbs).not.toContain('__complete');
    expect(await offered(daemon, 'volume', 'list', '--')).toEqual([
      '--label',
      '--data',
      '--url',
      '--json',
      '--no-color',
      '--version',
      '--help',
    ]);
  });

  it('the names of the daemon that the line says', async () => {
    const daemon = await furnished();
    const other = await FakeDaemon.start();
    expect(await offered(other, '--data', daemon.directory, 'volume', 'show', '')).toEqual(['vm1', 'web']);
    expect(await offered(other, 'volume', 'show', `--data=${daemon.directory}`, '')).toEqual(['vm1', 'web']);
  });

  it('nothing, and says nothing, where no daemon answers or one fails', async () => {
    const daemon = await furnished();
    expect(await offered(daemon, '--data', '/nowhere', 'volume', 'show', '')).toEqual([]);
    expect(await offered(daemon, '--url', 'nonsense', 'volume', 'show', '')).toEqual([]);
    daemon.resources.failure = new Error('broken');
    expect(await offered(daemon, 'volume', 'show', '')).toEqual([]);
  });
});

it('a script is printed for each shell, and no other', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const terminal = new FakeTerminal();
    expect(await runCommand(['completion', shell], terminal)).toBe(0);
    expect(terminal.output).toContain('__complete');
  }
  const terminal = new FakeTerminal();
  expect(await runCommand(['completion', 'tcsh'], terminal)).toBe(2);
  expect(terminal.errors).toContain('Allowed choices are bash, zsh, fish');
});
