/** The command: which verbs there are, and how each outcome becomes an exit code. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { toSkerryError } from '../core/errors.js';
import { addImage } from './image.js';
import { addPool } from './pool.js';
import { addServe } from './serve.js';
import { addSnapshot } from './snapshot.js';
import { addSpace } from './space.js';
import { addStatus } from './status.js';
import type { Terminal } from './terminal.js';
import { addClone, addVolume } from './volume.js';

export type ExitCode = 0 | 1 | 2 | 3 | 4;

/** `words`: without the interpreter and the script. Resolves when the command is done; `serve` when the daemon has stopped. */
export async function runCommand(words: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    await buildProgram(terminal).parseAsync(words, { from: 'user' });
    return 0;
  } catch (error) {
    // Commander has already said what is wrong, or shown the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const { message, exitCode } = toSkerryError(error);
    terminal.err(`skerry: ${message}\n`);
    return exitCode;
  }
}

function buildProgram(terminal: Terminal): Command {
  const program = new Command('skerry')
    .description('Volumes, snapshots, clones and images over content-addressed blocks.')
    .option('--data <dir>', 'data directory of the daemon (else SKERRY_DATA, else the default one)')
    .option('--url <url>', 'address of a daemon, instead of a data directory')
    .option('--json', 'print results as JSON, sizes in bytes')
    .version(packageVersion(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this, or the help of a command')
    .configureHelp({ showGlobalOptions: true, helpWidth: terminal.outColumns ?? 100 })
    .configureOutput({
      writeOut: (text) => terminal.out(text),
      writeErr: (text) => terminal.err(text),
      outputError: (text, write) => write(text.replace(/^error: /, 'skerry: ')),
      getOutHelpWidth: () => terminal.outColumns ?? 100,
      getErrHelpWidth: () => terminal.errColumns ?? 100,
    })
    .showHelpAfterError('(see --help)')
    .exitOverride()
    .addHelpText(
      'after',
      '\nExamples:\n  $ skerry serve\n  $ skerry image import debian-12.raw debian-12\n  $ skerry clone debian-12 vm1\n  $ skerry volume uri vm1\n\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 conflict.',
    );
  addServe(program, terminal);
  addStatus(program, terminal);
  addPool(program, terminal);
  addVolume(program, terminal);
  addSnapshot(program, terminal);
  addClone(program, terminal);
  addImage(program, terminal);
  addSpace(program, terminal);
  return program;
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
