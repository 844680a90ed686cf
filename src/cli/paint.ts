/** Colors, where a terminal shows them and nobody asked for none (https://no-color.org). Nothing is told by color alone. */
import type { Terminal } from './terminal.js';

export type Paint = 'bold' | 'dim' | 'red' | 'green' | 'yellow';

export type Painter = (text: string, how: Paint) => string;

const codes: Readonly<Record<Paint, readonly [number, number]>> = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
};

/** Of standard output or standard error; `wanted` is false after --no-color. */
export function painter(terminal: Terminal, stream: 'out' | 'err', wanted: boolean): Painter {
  if (!wanted || !hasColors(terminal, stream)) return (text) => text;
  return (text, how) => `\u001b[${codes[how][0]}m${text}\u001b[${codes[how][1]}m`;
}

export function hasColors({ environment, outColumns, errColumns }: Terminal, stream: 'out' | 'err'): boolean {
  const columns = stream === 'out' ? outColumns : errColumns;
  return columns !== null && (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
}
