/** Programs run by tests: what they printed and how they ended. */
import { spawn } from 'node:child_process';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const packageRoot = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..');

export interface Outcome {
  readonly code: number;
  /** What ended it: of a crash SIGSEGV or SIGABRT, of what was stopped from here SIGKILL. */
  readonly signal: NodeJS.Signals | null;
  /** It was stopped at its time limit. */
  readonly late: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
  readonly timeoutSeconds?: number;
  /** Kills it, which counts as code 128. */
  readonly signal?: AbortSignal;
}

/** Runs to the end; a signal counts as code 128. */
export async function run(command: string, words: readonly string[], options: RunOptions = {}): Promise<Outcome> {
  // A sanitizer that watches the tests' own process is nothing for the servers that they start.
  const { LD_PRELOAD: _, ...inherited } = process.env;
  return new Promise((resolveOutcome, reject) => {
    const child = spawn(command, words, {
      cwd: options.cwd ?? packageRoot,
      env: { ...inherited, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.timeoutSeconds === undefined ? {} : { timeout: options.timeoutSeconds * 1000, killSignal: 'SIGKILL' as const }),
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
    options.signal?.addEventListener('abort', () => child.kill('SIGKILL'));
    child.once('error', reject);
    child.once('close', (code, signal) => {
      const late = child.killed && options.signal?.aborted !== true;
      resolveOutcome({ code: code ?? 128, signal, late, stdout, stderr });
    });
  });
}

/** Runs to the end, which must be good. */
export async function must(command: string, words: readonly string[], options: RunOptions = {}): Promise<string> {
  const outcome = await run(command, words, options);
  if (outcome.code !== 0) {
    const how = outcome.late ? `its limit of ${options.timeoutSeconds} s` : (outcome.signal ?? outcome.code);
    throw new Error(
      `${command} ${words.join(' ')} ended with ${how}\n${outcome.stdout.slice(-4000)}\n${outcome.stderr.slice(-4000)}`,
    );
  }
  return outcome.stdout;
}
