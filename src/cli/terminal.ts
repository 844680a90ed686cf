/** What a command sees of the process it runs in, so that a test can stand in for it. */
import type { Readable, Writable } from 'node:stream';
import { boundHeap } from './heap.js';

export interface Terminal {
  /** Standard output. */
  out(text: string): void;
  /** Standard error. */
  err(text: string): void;
  /** Width of standard output in characters; null where it is no terminal. */
  readonly outColumns: number | null;
  /** Width of standard error in characters; null where it is no terminal. */
  readonly errColumns: number | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** Calls `handler` on the first Ctrl-C or SIGTERM; the next one ends the process as it always would. Returns the way to stop. */
  onInterrupt(handler: () => void): () => void;
  /** Standard input as bytes; null where it is a terminal. */
  inputBytes(): Readable | null;
  /** Standard output as bytes; null where it is a terminal. Its end is left to the process. */
  outputBytes(): Writable | null;
  /** From here on the process goes on when nobody reads what it writes: a daemon outlives the terminal it was started from. */
  outliveReaders(): void;
  /** Bounds the memory of the process, which may begin anew for that: called before anything is done. */
  boundHeap(): void;
}

/** Takes charge of what happens when the process's output cannot be written. */
export function processTerminal(): Terminal {
  let outlives = false;
  // `skerry volume list | head -1` closes the pipe early: nothing is wrong, and there is nobody left to tell.
  const onError = (error: NodeJS.ErrnoException): void => {
    if (outlives) return;
    if (error.code === 'EPIPE') process.exit(process.exitCode ?? 0);
    throw error;
  };
  process.stdout.on('error', onError);
  process.stderr.on('error', onError);
  return {
    outliveReaders: () => {
      outlives = true;
    },
    boundHeap,
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    get outColumns() {
      return columnsOf(process.stdout);
    },
    get errColumns() {
      return columnsOf(process.stderr);
    },
    inputBytes: () => (process.stdin.isTTY ? null : process.stdin),
    outputBytes: () => {
      if (process.stdout.isTTY) return null;
      // Whoever takes a disk and closes early has not got it: until the command ends well, that is a failure.
      process.exitCode = 1;
      return process.stdout;
    },
    environment: process.env,
    directory: process.cwd(),
    onInterrupt: (handler) => {
      const stop = (): void => {
        process.off('SIGINT', once);
        process.off('SIGTERM', once);
      };
      const once = (): void => {
        stop();
        handler();
      };
      process.on('SIGINT', once);
      process.on('SIGTERM', once);
      return stop;
    },
  };
}

function columnsOf(stream: NodeJS.WriteStream): number | null {
  return stream.isTTY ? stream.columns || 80 : null;
}
