/** What every command starts from: the terminal, the global options, and the client they lead to. */
import type { Command } from 'commander';
import { connect } from '../control/client.js';
import type { Client } from '../control/client.js';
import { defaultDataDirectory } from '../control/endpoint.js';
import { SkerryError } from '../core/errors.js';
import { painter } from './paint.js';
import type { Painter } from './paint.js';
import { formatFacts, formatTable } from './table.js';
import type { Column, Fact } from './table.js';
import type { Terminal } from './terminal.js';

export interface GlobalOptions {
  readonly json?: boolean;
  /** False after --no-color. */
  readonly color?: boolean;
  readonly data?: string;
  readonly url?: string;
}

export class Context {
  readonly terminal: Terminal;
  readonly json: boolean;
  readonly client: Client;
  readonly paint: Painter;
  /** How the command ends where it does what was asked and has something to say all the same. */
  exitCode: 0 | 1 = 0;

  constructor(terminal: Terminal, options: GlobalOptions) {
    if (options.data !== undefined && options.url !== undefined) {
      throw new SkerryError('invalid', '--data and --url both name a daemon: give one of them');
    }
    this.terminal = terminal;
    this.json = options.json === true;
    this.paint = painter(terminal, 'out', options.color !== false);
    this.client = connect(options.url === undefined ? { dataDirectory: dataDirectory(terminal, options) } : { url: options.url });
  }

  /** For result(): as wide as the terminal. */
  table<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string {
    return formatTable(columns, rows, { width: this.terminal.outColumns, paint: this.paint });
  }

  /** The same for one thing. */
  facts(facts: readonly Fact[]): string {
    return formatFacts(facts, { width: this.terminal.outColumns });
  }

  /** The result of the command: `view` as one line of JSON, or `text` for people. */
  result(view: unknown, text: () => string): void {
    this.terminal.out(`${this.json ? JSON.stringify(view) : text()}\n`);
  }
}

/** Ends the command with this code; all that is to be said has been. */
export class Ended extends Error {
  readonly exitCode: 1;

  constructor(exitCode: 1) {
    super(`the command ends with ${exitCode}`);
    this.exitCode = exitCode;
  }
}

/** @throws SkerryError invalid for an empty --data. */
export function dataDirectory(terminal: Terminal, options: GlobalOptions): string {
  if (options.data === '') throw new SkerryError('invalid', '--data names no directory');
  return options.data ?? defaultDataDirectory(terminal.environment);
}

/**
 * The action of a command that talks to the daemon: `act` gets the context, the command's own options and its arguments. The
 * type it gives its options is what the command declares of them, which commander cannot tell.
 */
export function withDaemon(
  terminal: Terminal,
  act: (context: Context, options: never, ...words: string[]) => Promise<void>,
): (...given: unknown[]) => Promise<void> {
  return async (...given) => {
    // Commander hands over the arguments, then the options, then the command.
    const command = given.at(-1) as Command;
    const context = new Context(terminal, command.optsWithGlobals<GlobalOptions>());
    try {
      await act(context, command.opts<never>(), ...(command.processedArgs as string[]));
      if (context.exitCode !== 0) throw new Ended(context.exitCode);
    } finally {
      context.client.close();
    }
  };
}
