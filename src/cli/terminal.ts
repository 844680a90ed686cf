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
  /** Lines of standard output; null where it is no terminal. */
  readonly outRows: number | null;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly directory: string;
  /** Calls `handler` on the first Ctrl-C or SIGTERM; the next one ends the process as it always would. Returns the way to stop. */
  onInterrupt(handler: () => void): () => void;
  /**
   * Calls `handler` with each key, at once and without showing it, where standard input is a terminal; Ctrl-C is a key then.
   * Returns the way to stop.
   */
  onKey(handler: (key: string) => void): () => void;
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
    get outRows() {
      return process.stdout.isTTY ? process.stdout.rows || 24 : null;
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
    onKey: (handler) => {
      const { stdin } = process;
      if (!stdin.isTTY) return () => {};
      const onData = (bytes: Buffer): void => {
        for (const key of bytes.toString('utf8')) handler(key);
      };
      stdin.setRawMode(true);
      stdin.on('data', onData);
      stdin.resume();
      return () => {
        stdin.off('data', onData);
        stdin.setRawMode(false);
        stdin.pause();
      };
    },
  };
}

function columnsOf(stream: NodeJS.WriteStream): number | null {
  return stream.isTTY ? stream.columns || 80 : null;
}
