/** The command: which verbs there are, and how each outcome becomes an exit code. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { toSkerryError } from '../core/errors.js';
import type { ErrorCode } from '../core/errors.js';
import { addAccount } from './account.js';
import { addCompletion, complete_word, completeWords } from './completion.js';
import { Ended } from './context.js';
import { examples } from './examples.js';
import { addImage } from './image.js';
import { addKey } from './key.js';
import { hasColors, painter } from './paint.js';
import { addPool } from './pool.js';
import { addPublication } from './publication.js';
import { addQuota } from './quota.js';
import { addServe } from './serve.js';
import { addSnapshot } from './snapshot.js';
import { addSpace } from './space.js';
import { addStatus } from './status.js';
import type { Terminal } from './terminal.js';
import { addTop } from './top.js';
import { addUsage } from './usage.js';
import { addUser } from './user.js';
import { addClone, addVolume } from './volume.js';

export type ExitCode = 0 | 1 | 2 | 3 | 4;

/** `words`: without the interpreter and the script. Resolves when the command is done; `serve` when the daemon has stopped. */
export async function runCommand(words: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const [first, ...rest] = words;
  if (first === complete_word) return completeWords(buildProgram(terminal), terminal, rest);
  const colors = !words.includes('--no-color');
  try {
    await buildProgram(terminal, colors).parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof Ended) return error.exitCode;
    // Commander has already said what is wrong, or shown the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { code, message, exitCode } = toSkerryError(error);
    const paint = painter(terminal, 'err', colors);
    terminal.err(`${paint('skerry:', 'red')} ${message}${wayOut(code, message)}\n`);
    return exitCode;
  }
}

/** What is not there can be listed. */
function wayOut(code: ErrorCode, message: string): string {
  const [, kind] = (code === 'not-found' && /^there is no (volume|snapshot|image|pool|account)\b/.exec(message)) || [];
  return kind === undefined ? '' : `; see: skerry ${kind} list`;
}

/** `colors`: where the terminal has them. */
export function buildProgram(terminal: Terminal, colors = true): Command {
  const paint = painter(terminal, 'out', colors);
  const paintError = painter(terminal, 'err', colors);
  const program = new Command('skerry')
    .description('Volumes, snapshots, clones and images over content-addressed blocks.')
    .option('--data <dir>', 'data directory of the daemon (else SKERRY_DATA, else the default one)')
    .option('--url <url>', 'address of a daemon, instead of a data directory')
    .option('--json', 'print results as JSON, sizes in bytes')
    .option('--no-color', 'print no colors, not even to a terminal; so does NO_COLOR in the environment')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this, or the help of a command')
    .configureHelp({ showGlobalOptions: true, styleTitle: (title) => paint(title, 'bold') })
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      getOutHelpWidth: () => helpWidth(terminal.outColumns),
      getErrHelpWidth: () => helpWidth(terminal.errColumns),
      getOutHasColors: () => colors && hasColors(terminal, 'out'),
      getErrHasColors: () => colors && hasColors(terminal, 'err'),
    })
    .exitOverride()
    .addHelpText(
      'after',
      `${examples(
        'skerry serve',
        'skerry status',
        'skerry image import debian-12.raw debian-12',
        'skerry clone debian-12 vm1',
        'skerry volume uri vm1',
        'skerry top',
      )}\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict.`,
    );
  addServe(program, terminal);
  addStatus(program, terminal);
  addTop(program, terminal);
  addPool(program, terminal);
  addVolume(program, terminal);
  addSnapshot(program, terminal);
  addClone(program, terminal);
  addImage(program, terminal);
  addSpace(program, terminal);
  addAccount(program, terminal);
  addUser(program, terminal);
  addKey(program, terminal);
  addPublication(program, terminal);
  addQuota(program, terminal);
  addUsage(program, terminal);
  addCompletion(program, terminal);
  tellUsage(program, 'skerry', paintError('skerry:', 'red'));
  return program;
}

/** Each command names its own help where it is used wrongly. */
function tellUsage(command: Command, path: string, begin: string): void {
  command.configureOutput({ outputError: (text, write) => write(`${begin} ${usageError(text, path)}\n`) });
  for (const one of command.commands) tellUsage(one, `${path} ${one.name()}`, begin);
}

/** `error: unknown command 'creat'\n(Did you mean create?)` in one line, with the way out. */
function usageError(text: string, path: string): string {
  const [what = '', ...hints] = text
    .replace(/^error: /, '')
    .trimEnd()
    .split('\n');
  return `${[what.replace(/\.$/, ''), ...hints.map((hint) => hint.replace(/^\(Did you/, '(did you'))].join(' ')}; see ${path} --help`;
}

/** Lines that are wider than this are hard to read. */
function helpWidth(columns: number | null): number {
  return Math.min(columns ?? 100, 120);
}

/** From the package's own file, wherever this one is under it: src/cli in tests, dist/src/cli when installed. */
function packageVersion(): string {
  for (const up of ['../../package.json', '../../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(new URL(up, import.meta.url), 'utf8')) as {
        name?: string;
        version?: string;
      };
      if (name === 'skerry' && version !== undefined) return version;
    } catch {
      // Not there: the next one up.
    }
  }
  return 'unknown';
}
