/**
 * Tables that fit the terminal. Where one is too wide, the columns that matter least go first, then the widest cells lose
 * their middle. Where there is no terminal nothing is cut, so that a script sees all there is.
 */

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
  /** Columns with the highest number are left out first; one without stays. */
  readonly leaveOut?: number;
}

const gap = '  ';
const cell_characters_min = 8;

/** `width`: characters of the terminal, null for no limit. Lines are joined by newlines, without one at the end. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number | null): string {
  let kept = columns.map((column) => ({ column, cells: [column.title, ...rows.map((row) => column.value(row))] }));
  const widthOf = (cells: readonly string[]): number => Math.max(...cells.map(characters));
  const total = (): number => kept.reduce((sum, { cells }) => sum + widthOf(cells), 0) + gap.length * (kept.length - 1);
  if (width !== null) {
    while (total() > width) {
      const least = Math.max(...kept.map(({ column }) => column.leaveOut ?? 0));
      if (least <= 0) break;
      kept = kept.filter(({ column }) => column.leaveOut !== least);
    }
    for (let over = total() - width; over > 0; over = total() - width) {
      const widest = kept.reduce((a, b) => (widthOf(b.cells) > widthOf(a.cells) ? b : a));
      const before = widthOf(widest.cells);
      const target = Math.max(cell_characters_min, before - over);
      if (target >= before) break;
      widest.cells = widest.cells.map((cell) => cutMiddle(cell, target));
    }
  }
  const lines: string[] = [];
  for (let row = 0; row <= rows.length; row += 1) {
    const line = kept.map(({ column, cells }) => pad(cells[row] ?? '', widthOf(cells), column.align ?? 'left'));
    lines.push(line.join(gap).trimEnd());
  }
  return lines.join('\n');
}

/** One thing, a line for each of its facts: `size     20G (21474836480 bytes)`. Facts that are null are left out. */
export function formatFacts(facts: readonly (readonly [string, string | null])[]): string {
  const known = facts.filter((fact): fact is readonly [string, string] => fact[1] !== null);
  const width = Math.max(...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${name.padEnd(width)}${gap}${value}`).join('\n');
}

function pad(text: string, width: number, align: 'left' | 'right'): string {
  const blank = ' '.repeat(Math.max(0, width - characters(text)));
  return align === 'left' ? text + blank : blank + text;
}

function cutMiddle(text: string, width: number): string {
  const all = Array.from(text);
  if (all.length <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  return `${all.slice(0, width - 1 - tail).join('')}…${all.slice(all.length - tail).join('')}`;
}

/** Code points, so that a description in another script is not cut in half. */
function characters(text: string): number {
  return Array.from(text).length;
}
