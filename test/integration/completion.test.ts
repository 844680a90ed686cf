/** The scripts of `skerry completion` in the shells that they are for, with the names of a daemon. */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { must } from '../harness/command.ts';
import { cliPath, DaemonProcess } from '../harness/daemon_process.ts';
import { TerminalSession } from '../harness/terminal.ts';

let daemon: DaemonProcess;
let folder: string;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  daemon = new DaemonProcess();
  await daemon.start();
  await daemon.ok('volume', 'create', 'vm1', '--size', '1G', '--description', 'of the books');
  await daemon.ok('volume', 'create', 'vm2', '--size', '1G');
  for (const account of ['acme', 'acorn']) await daemon.ok('account', 'create', account);
  await daemon.ok('snapshot', 'create', 'vm1@monday');
  await daemon.ok('snapshot', 'create', 'vm1@tuesday');
  folder = mkdtempSync(join(tmpdir(), 'skerry-completion-'));
  writeFileSync(join(folder, 'skerry'), `#!/bin/sh\nexec '${process.execPath}' '${cliPath}' "$@"\n`);
  chmodSync(join(folder, 'skerry'), 0o755);
  for (const name of ['disk one.raw', 'disk-two.raw']) writeFileSync(join(folder, name), '');
  env = { PATH: `${folder}:${process.env['PATH'] ?? ''}`, SKERRY_DATA: daemon.directory, HOME: folder, TMPDIR: folder };
  for (const [shell, file] of [
    ['bash', 'skerry.bash'],
    ['fish', 'skerry.fish'],
    ['zsh', '_skerry'],
  ] as const)
    writeFileSync(join(folder, file), `${await daemon.ok('completion', shell)}\n`);
});

afterAll(async () => {
  await daemon.destroy();
  rmSync(folder, { recursive: true, force: true });
});

/** A line, what stands for its last word, and what of that bash counts as the word, for which `@` and `=` end one. */
const lines: readonly [line: string, whole: readonly string[], bash?: readonly string[]][] = [
  ['skerry vol', ['volume']],
  ['skerry volume re', ['resize', 'rename', 'replicate']],
  ['skerry volume show ', ['vm1', 'vm2']],
  ['skerry volume uri vm1@', ['vm1@monday', 'vm1@tuesday'], ['@monday', '@tuesday']],
  ['skerry volume rollback vm1@m', ['vm1@monday'], ['@monday']],
  ['skerry --json volume delete vm2', ['vm2']],
  ['skerry image export --format=', ['--format=raw', '--format=qcow2'], ['raw', 'qcow2']],
  ['skerry key create ac', ['acme', 'acorn']],
  ['skerry image import disk', ['disk one.raw', 'disk-two.raw']],
  ['skerry volume show nothing', []],
];

const script = `
complete_line() { COMP_LINE=$1 COMP_POINT=\${#1} COMPREPLY=(); _skerry; printf '%s\\n' "\${COMPREPLY[@]}"; }
complete_line "$1"`;

function answered(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.split('\t')[0] ?? '')
    .filter((line) => line !== '')
    .sort();
}

describe('in bash', () => {
  it.each(lines)('%s: %j', async (line, whole, parts) => {
    const found = await must('bash', ['-c', `source ./skerry.bash; ${script}`, 'bash', line], { cwd: folder, env });
    expect(answered(found)).toEqual([...(parts ?? whole)].sort());
  });

  it('a key completes the name that is left, in a terminal', async () => {
    const session = new TerminalSession('bash --norc --noprofile -i', { columns: 100, cwd: folder, env: { ...env, PS1: '> ' } });
    onTestFinished(() => session.kill());
    session.press('source ./skerry.bash; echo rea""dy\r');
    await session.until(/ready/);
    session.press('skerry volume uri vm1@t\t; exit\r');
    await session.until(/nbd\+unix:.*vm1(?:@|%40)tuesday/);
    await session.ended();
  });
});

describe('in fish', () => {
  it.each(lines)('%s: %j', async (line, whole) => {
    const found = await must('fish', ['--no-config', '-c', 'source ./skerry.fish; complete -C $argv[1]', line], {
      cwd: folder,
      env,
    });
    expect(answered(found).map((one) => one.replace(/\\ /g, ' '))).toEqual([...whole].sort());
  });

  it('says what each is', async () => {
    const words = ['--no-config', '-c', 'source ./skerry.fish; complete -C "skerry volume show v"'];
    expect(await must('fish', words, { cwd: folder, env })).toBe('vm1\tof the books\nvm2\tvolume\n');
  });
});

describe('in zsh', () => {
  it('a key completes verbs, names, values and files, in a terminal', async () => {
    const session = new TerminalSession('zsh -f -i', { columns: 200, cwd: folder, env });
    onTestFinished(() => session.kill());
    session.press('PS1="> "; fpath=($PWD $fpath); autoload -Uz compinit; compinit -u -D; bindkey -e; echo rea""dy\r');
    await session.until(/ready/);
    const completed = async (line: string, shown: RegExp): Promise<void> => {
      session.press(`${line}\t`);
      await session.until(shown);
      // The line is given up.
      session.press('\u0015');
    };
    await completed('skerry vol', /skerry volume /);
    await completed('skerry volume re', /rename +-- give a volume another name[^]*resize +-- make/);
    await completed('skerry volume show vm', /vm1 +-- of the books[^]*vm2 +-- volume/);
    await completed('skerry image export --format=q', /--format=qcow2/);
    await completed('skerry image import disk-', /import disk-two\.raw/);
    session.press('skerry volume uri vm1@t\t; exit\r');
    await session.until(/nbd\+unix:.*vm1(?:@|%40)tuesday/);
    expect(await session.ended()).toBe(0);
  });
});
