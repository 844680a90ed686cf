/** Programs in a real terminal of a given size: a pty of script(1), with keys that somebody presses. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface TerminalOptions {
  readonly columns: number;
  readonly rows?: number;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
}

export class TerminalSession {
  /** What it showed, with all that steers a terminal. */
  shown = '';
  readonly #child;
  readonly #ended: Promise<number>;

  /** `line`: of the shell. */
  constructor(line: string, { columns, rows = 24, env = {}, cwd }: TerminalOptions) {
    const size = `stty cols ${columns} rows ${rows}`;
    this.#child = spawn('script', ['--quiet', '--flush', '--return', '--command', `${size}; ${line}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, TERM: 'xterm-256color', SHELL: '/bin/bash', ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.shown += text;
    });
    this.#ended = once(this.#child, 'close').then(([code]) => (code as number | null) ?? 128);
  }

  press(keys: string): void {
    this.#child.stdin.write(keys);
  }

  /** Resolves once `pattern` was shown, whatever its colors; rejects where the program ends without. */
  async until(pattern: RegExp): Promise<void> {
    let over = false;
    void this.#ended.then(() => {
      over = true;
    });
    while (!pattern.test(plain(this.shown))) {
      if (over) throw new Error(`it ended without ${pattern}:\n${this.shown}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** Its exit code. */
  ended(): Promise<number> {
    return this.#ended;
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}

/** What can be read in the end: without colors, and of a line that was written over the last. */
export function readable(shown: string): string[] {
  return plain(shown)
    .split(/\r*\n/)
    .map((line) => line.split('\r').at(-1) ?? '');
}

/** Without what steers a terminal; a backspace takes a character away. */
function plain(shown: string): string {
  const text = shown
    .split('\u001b')
    .map((part, at) => (at === 0 ? part : part.replace(/^\[[0-9;?]*[A-Za-z]/, '')))
    .join('');
  const kept: string[] = [];
  for (const character of text) {
    if (character === '\b') kept.pop();
    else kept.push(character);
  }
  return kept.join('');
}
