/** skerry top: what each attached volume does, now. A screen that refreshes, or one table after the other where there is none. */
import { InvalidArgumentError } from 'commander';
import type { Command } from 'commander';
import type { ActivityView } from '../api/shapes.js';
import { ratesBetween } from '../control/rates.js';
import type { Rates, ResourceRates } from '../control/rates.js';
import { toSkerryError } from '../core/errors.js';
import { formatSize } from '../core/sizes.js';
import { withDaemon } from './context.js';
import type { Context } from './context.js';
import { examples } from './examples.js';
import { problemLines } from './status.js';
import type { Column } from './table.js';
import type { Terminal } from './terminal.js';
import { percent } from './words.js';

interface TopOptions {
  readonly once?: boolean;
  /** Seconds. */
  readonly interval: number;
}

const interval_seconds_min = 0.1;
const interval_seconds_max = 3600;
const journal_bar_characters = 20;
/** Narrower terminals have no room for it. */
const journal_bar_columns_min = 60;
const screen = {
  // Lines that are too long are cut: one that is broken in two would push the others down.
  open: '\u001b[?1049h\u001b[?25l\u001b[?7l',
  close: '\u001b[?7h\u001b[?25h\u001b[?1049l',
  home: '\u001b[H',
  clearLine: '\u001b[K',
  clearRest: '\u001b[J',
};

export function addTop(program: Command, terminal: Terminal): void {
  program
    .command('top')
    .description('show what each attached volume does, by the second; q quits')
    .option('--once', 'show one interval, and end')
    .option('--interval <seconds>', 'between two looks', parseSeconds, 2)
    .addHelpText(
      'after',
      `\nTimes are what a request took on average. Where standard output is no terminal it is one table after the other, and with --json one line of JSON.${examples(
        'skerry top',
        'skerry top --once',
        'skerry top --json --interval 10 >> rates.jsonl',
      )}`,
    )
    .action(withDaemon(terminal, top));
}

async function top(context: Context, options: TopOptions): Promise<void> {
  const live =
    context.terminal.outColumns !== null &&
    options.once !== true &&
    !context.json &&
    context.terminal.environment['TERM'] !== 'dumb';
  const wish = new WishToEnd(context.terminal, live);
  try {
    if (live) await refresh(context, options, wish);
    else await follow(context, options, wish);
  } finally {
    wish.stop();
  }
}

/** One table, or line of JSON, after the other. A daemon that goes away ends it. */
async function follow(context: Context, { once = false, interval }: TopOptions, wish: WishToEnd): Promise<void> {
  let before = await context.client.activity();
  for (let first = true; ; first = false) {
    await wish.sleep(interval);
    if (wish.came) return;
    const now = await context.client.activity();
    const rates = ratesBetween(before, now);
    before = now;
    context.result(rates, () => `${first ? '' : '\n'}${topText(context, rates)}`);
    if (once) return;
  }
}

/** The screen of the terminal, which is given back as it was. A daemon that goes away is waited for. */
async function refresh(context: Context, { interval }: TopOptions, wish: WishToEnd): Promise<void> {
  const { terminal, client } = context;
  const show = (text: string): void => terminal.out(framed(text, terminal.outRows ?? 24));
  // Where there is no daemon from the start the screen stays as it is.
  let before: ActivityView | null = await client.activity();
  terminal.out(screen.open);
  try {
    show('looking');
    // The first rates come soon, the others when they are due.
    for (let wait = Math.min(1, interval); ; wait = interval) {
      await wish.sleep(wait);
      if (wish.came) return;
      try {
        const now: ActivityView = await client.activity();
        if (before !== null) show(`${topText(context, ratesBetween(before, now))}\n\n${context.paint('q quits', 'dim')}`);
        before = now;
      } catch (error) {
        before = null;
        show(
          `${context.paint('skerry:', 'red')} ${toSkerryError(error).message}\n\ntrying again; ${context.paint('q quits', 'dim')}`,
        );
      }
    }
  } finally {
    terminal.out(screen.close);
  }
}

/** Line over line, so that nothing flickers; no more of them than there are rows, for the screen would roll. Blank ones go first. */
function framed(text: string, rows: number): string {
  const whole = text.split('\n');
  const all = whole.length <= rows ? whole : whole.filter((line) => line !== '');
  const lines = all.length <= rows ? all : [...all.slice(0, rows - 2), `(${all.length - rows + 1} more lines)`, all.at(-1) ?? ''];
  return screen.home + lines.map((line) => line + screen.clearLine).join('\r\n') + screen.clearRest;
}

function topText(context: Context, rates: Rates): string {
  const { journal, resources, problems } = rates;
  const table =
    resources.length === 0
      ? 'nothing is attached; attach a volume by what this prints: skerry volume uri NAME'
      : context.table(columns, resources);
  return [...problemLines(context, problems), journalLine(context, journal), '', table].join('\n');
}

function journalLine({ paint, terminal }: Context, { bytes, bytesMax }: Rates['journal']): string {
  const share = bytesMax === 0 ? 0 : Math.min(1, bytes / bytesMax);
  const words = `${percent(bytes, bytesMax)} (${formatSize(bytes)} of ${formatSize(bytesMax)})`;
  if (terminal.outColumns !== null && terminal.outColumns < journal_bar_columns_min) return `journal ${words}`;
  const filled = Math.round(journal_bar_characters * share);
  const bar = '#'.repeat(filled) + '.'.repeat(journal_bar_characters - filled);
  // Half full is where writers begin to be slowed.
  const painted = share < 0.5 ? bar : paint(bar, share < 0.9 ? 'yellow' : 'red');
  return `journal [${painted}] ${words}`;
}

const number = (value: number): string => (value === 0 ? '-' : value < 10 ? value.toFixed(1) : value.toFixed(0));
const perSecond = (bytes: number): string => (bytes < 1 ? '-' : `${formatSize(Math.round(bytes))}/s`);
const right = (title: string, value: (one: ResourceRates) => string, leaveOut?: number): Column<ResourceRates> => ({
  title,
  value,
  align: 'right',
  ...(leaveOut === undefined ? {} : { leaveOut }),
});

const columns: readonly Column<ResourceRates>[] = [
  { title: 'NAME', value: ({ name }) => name, cutTo: 20, cutAt: 'middle' },
  right('CONNS', ({ connections }) => String(connections), 5),
  right('READS/S', ({ read }) => number(read.iops)),
  right('READ', ({ read }) => perSecond(read.bytesPerSecond), 2),
  right('TIME', ({ read }) => shortTime(read.latencySeconds), 1),
  right('WRITES/S', ({ write }) => number(write.iops)),
  right('WRITTEN', ({ write }) => perSecond(write.bytesPerSecond), 2),
  right('TIME', ({ write }) => shortTime(write.latencySeconds), 1),
  right('FLUSHES/S', ({ flush }) => number(flush.iops), 4),
  right('TIME', ({ flush }) => shortTime(flush.latencySeconds), 4),
  right('TRIMS/S', ({ trim }) => number(trim.iops), 6),
  right('JOURNAL', ({ journalBytes }) => (journalBytes === 0 ? '-' : formatSize(journalBytes)), 3),
  {
    // Not there while there are none, and there at any width when there are.
    ...right('ERRORS/S', (one) => (errorsOf(one) > 0 ? number(errorsOf(one)) : '')),
    paint: () => 'red',
  },
];

function errorsOf({ read, write, flush, trim }: ResourceRates): number {
  return [read, write, flush, trim].reduce((sum, { errorsPerSecond }) => sum + errorsPerSecond, 0);
}

/** `85us`, `1.2ms`, `2.5s`. */
export function shortTime(seconds: number | null): string {
  if (seconds === null) return '-';
  const micros = seconds * 1e6;
  if (micros < 999.5) return `${micros.toFixed(0)}us`;
  const [value, unit] = micros < 999_500 ? [micros / 1e3, 'ms'] : [seconds, 's'];
  return `${value.toFixed(value < 9.95 ? 1 : 0)}${unit}`;
}

function parseSeconds(text: string): number {
  const seconds = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds >= interval_seconds_min && seconds <= interval_seconds_max))
    throw new InvalidArgumentError(`write seconds from ${interval_seconds_min} to ${interval_seconds_max}.`);
  return seconds;
}

/** q, Ctrl-C as a key, or the signals: whichever comes. */
class WishToEnd {
  came = false;
  readonly #stops: readonly (() => void)[];
  #wake: (() => void) | null = null;

  constructor(terminal: Terminal, keys: boolean) {
    const end = (): void => {
      this.came = true;
      this.#wake?.();
    };
    const onKey = (key: string): void => {
      if (key === 'q' || key === 'Q' || key === '\u0003' || key === '\u0004') end();
    };
    this.#stops = [terminal.onInterrupt(end), ...(keys ? [terminal.onKey(onKey)] : [])];
  }

  async sleep(seconds: number): Promise<void> {
    if (this.came) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = null;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }
}
