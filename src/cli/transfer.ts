/** Follows an import or export to its end: a bar on a terminal, a line now and then elsewhere, and Ctrl-C cancels it. */
import type { TransferView } from '../api/shapes.js';
import { isErrorCode, SkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import type { Context } from './context.js';
import type { Terminal } from './terminal.js';
import { duration } from './words.js';

export interface TransferOrder {
  /** `import of debian`. */
  readonly noun: string;
  /** `importing debian`. */
  readonly doing: string;
  /** What is left behind by one that was cancelled: `nothing was kept`. */
  readonly cancelled: string;
  readonly begin: () => Promise<TransferView>;
}

const poll_milliseconds_min = 10;
const poll_milliseconds_max = 200;
const line_milliseconds = 5000;

/** The transfer as it ended. @throws SkerryError of its failure, `cancelled` after Ctrl-C. */
export async function followTransfer(context: Context, order: TransferOrder): Promise<TransferView> {
  const { client, terminal } = context;
  const progress = new Progress(terminal, order.doing);
  const interrupt = new Interrupt(terminal);
  try {
    let transfer = await order.begin();
    let asked = false;
    for (let wait = poll_milliseconds_min; transfer.state === 'running'; wait = Math.min(wait * 1.5, poll_milliseconds_max)) {
      // What was said of cancelling stays the last word.
      if (!asked) progress.show(transfer);
      if (interrupt.came && !asked) {
        asked = true;
        progress.clear();
        terminal.err(`skerry: cancelling the ${order.noun}\n`);
        transfer = await client.cancelTransfer(transfer.id);
        continue;
      }
      await interrupt.sleep(wait, asked);
      transfer = await client.transfer(transfer.id);
    }
    if (transfer.state === 'done') return transfer;
    if (transfer.state === 'cancelled') throw new SkerryError('cancelled', `the ${order.noun} was cancelled; ${order.cancelled}`);
    const { code, message } = transfer.error ?? { code: 'internal', message: 'no reason was given' };
    throw new SkerryError(isErrorCode(code) ? code : 'internal', `the ${order.noun} failed: ${message}`);
  } finally {
    interrupt.end();
    progress.clear();
  }
}

class Interrupt {
  came = false;
  readonly end: () => void;
  #wake: (() => void) | null = null;

  constructor(terminal: Terminal) {
    this.end = terminal.onInterrupt(() => {
      this.came = true;
      this.#wake?.();
    });
  }

  /** Ends early when it comes, unless it was `seen` already. */
  async sleep(milliseconds: number, seen: boolean): Promise<void> {
    if (this.came && !seen) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }
}

class Progress {
  readonly #terminal: Terminal;
  readonly #doing: string;
  readonly #began = performance.now();
  #lineAt = performance.now();
  #shown = false;

  constructor(terminal: Terminal, doing: string) {
    this.#terminal = terminal;
    this.#doing = doing;
  }

  show(transfer: TransferView): void {
    const columns = this.#terminal.errColumns;
    const seconds = (performance.now() - this.#began) / 1000;
    if (columns !== null) {
      this.#terminal.err(`\r\u001b[K${progressBar({ doing: this.#doing, transfer, seconds, columns })}`);
      this.#shown = true;
    } else if (performance.now() - this.#lineAt >= line_milliseconds) {
      this.#lineAt = performance.now();
      this.#terminal.err(`${this.#doing}: ${progressWords(transfer, seconds).trimStart()}\n`);
    }
  }

  clear(): void {
    if (this.#shown) this.#terminal.err('\r\u001b[K');
    this.#shown = false;
  }
}

export interface ProgressBar {
  readonly doing: string;
  readonly transfer: TransferView;
  readonly seconds: number;
  readonly columns: number;
}

/** `importing debian  [#####.....]  50% (1.5G of 3G)  310M/s  5.2 s left`, one short of `columns` so that it never wraps. */
export function progressBar({ doing, transfer, seconds, columns }: ProgressBar): string {
  const words = progressWords(transfer, seconds);
  const room = Math.min(40, columns - 1 - doing.length - words.length - 6);
  if (room < 5 || transfer.totalBytes === 0) return `${doing}  ${words}`.slice(0, columns - 1);
  const filled = Math.round(room * share(transfer));
  return `${doing}  [${'#'.repeat(filled)}${'.'.repeat(room - filled)}]  ${words}`;
}

/** `seconds` since it began: rate and time left count on what has been so far. */
export function progressWords(transfer: TransferView, seconds: number): string {
  const { doneBytes, totalBytes } = transfer;
  const perSecond = seconds > 0.5 ? doneBytes / seconds : 0;
  const rate = perSecond > 0 ? `  ${formatSize(Math.round(perSecond))}/s` : '';
  // Where only the end will tell how much it is, there is no share of it.
  if (totalBytes === 0) return `${formatSize(doneBytes)}${rate}`;
  const left = perSecond > 0 && doneBytes < totalBytes ? `  ${duration((totalBytes - doneBytes) / perSecond)} left` : '';
  const percent = String(Math.floor(share(transfer) * 100)).padStart(3);
  return `${percent}% (${formatSize(doneBytes)} of ${formatSize(totalBytes)})${rate}${left}`;
}

function share(transfer: TransferView): number {
  return transfer.totalBytes === 0 ? 0 : Math.min(1, transfer.doneBytes / transfer.totalBytes);
}
