/**
 * Tables that fit the terminal. A column without a single value is left out. Where a table is too wide, cells that bear it are cut
 * first, then the columns that matter least go, then the widest cells lose their middle. Where there is no terminal nothing is cut, so
 * that a script sees all there is.
 */
import { columnsOf, cutEnd, cutMiddle, printable, wrapped } from './characters.js';
import type { Paint } from './paint.js';

export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string;
  readonly align?: 'left' | 'right';
  /** Columns with the highest number are left out first; one without stays. */
  readonly leaveOut?: number;
  /** Before any column is left out, its cells may lose their end, or what `cutAt` says, down to so many characters. */
  readonly cutTo?: number;
  readonly cutAt?: 'end' | 'middle';
  /** How a cell looks on a terminal with colors. */
  readonly paint?: (row: Row) => Paint | null;
}

export interface TableRoom {
  /** Characters of the terminal, null for no limit. */
  readonly width: number | null;
  readonly paint?: (text: string, how: Paint) => string;
}

interface Kept<Row> {
  readonly column: Column<Row>;
  cells: readonly string[];
}

const gap = '  ';
const cell_characters_min = 8;

/** Lines are joined by newlines, without one at the end. */
export function formatTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[], room: TableRoom): string {
  const all = columns
    .map((column) => ({ column, cells: [column.title, ...rows.map((row) => printable(column.value(row)))] }))
    .filter(({ cells }) => rows.length === 0 || cells.some((cell, at) => at > 0 && cell !== ''));
  const kept = room.width === null ? all : fitted(all, room.width);
  const paint = room.paint ?? ((text) => text);
  const lines: string[] = [];
  for (let row = 0; row <= rows.length; row += 1) {
    const subject = rows[row - 1];
    const line = kept.map(({ column, cells }, at) => {
      const how = subject === undefined ? 'bold' : (column.paint?.(subject) ?? null);
      const cell = cells[row] ?? '';
      const painted = how === null ? cell : paint(cell, how);
      const blank = ' '.repeat(widthOf(cells) - columnsOf(cell));
      if (column.align === 'right') return blank + painted;
      // Nothing is behind the last one.
      return at === kept.length - 1 ? painted : painted + blank;
    });
    lines.push(line.join(gap).trimEnd());
  }
  return lines.join('\n');
}

/** What it is called and says; null: nothing. */
export type Fact = readonly [string, string | null];

/**
 * One thing, a line for each of its facts: `size     20G (21474836480 bytes)`. Facts that are null are left out. What is too long
 * for the terminal goes on in the next line, below where it began.
 */
export function formatFacts(facts: readonly Fact[], { width }: Pick<TableRoom, 'width'>): string {
  const known = facts.filter((fact): fact is readonly [string, string] => fact[1] !== null);
  const indent = Math.max(...known.map(([name]) => name.length)) + gap.length;
  return known.map(([name, value]) => `${name.padEnd(indent)}${wrapped(value, width, indent)}`).join('\n');
}

function fitted<Row>(all: readonly Kept<Row>[], width: number): readonly Kept<Row>[] {
  for (let left = all; ; ) {
    const cut = cutWilling(left, width);
    if (totalOf(cut) <= width) return cut;
    const least = Math.max(...left.map(({ column }) => column.leaveOut ?? 0));
    if (least <= 0) return cutAny(cut, width);
    left = left.filter(({ column }) => column.leaveOut !== least);
  }
}

/** The widest of those that bear it first. */
function cutWilling<Row>(columns: readonly Kept<Row>[], width: number): readonly Kept<Row>[] {
  const cut = columns.map((one) => ({ ...one }));
  for (let over = totalOf(cut) - width; over > 0; over = totalOf(cut) - width) {
    const bearing = cut.filter(({ column, cells }) => column.cutTo !== undefined && widthOf(cells) > leastOf(column));
    const [first, ...others] = bearing;
    if (first === undefined) break;
    const widest = others.reduce((a, b) => (widthOf(b.cells) > widthOf(a.cells) ? b : a), first);
    const target = Math.max(leastOf(widest.column), widthOf(widest.cells) - over);
    const cutCell = widest.column.cutAt === 'middle' ? cutMiddle : cutEnd;
    widest.cells = widest.cells.map((cell) => cutCell(cell, target));
  }
  return cut;
}

function cutAny<Row>(columns: readonly Kept<Row>[], width: number): readonly Kept<Row>[] {
  const cut = columns.map((one) => ({ ...one }));
  for (let over = totalOf(cut) - width; over > 0; over = totalOf(cut) - width) {
    const widest = cut.reduce((a, b) => (widthOf(b.cells) > widthOf(a.cells) ? b : a));
    const before = widthOf(widest.cells);
    const target = Math.max(cell_characters_min, before - over);
    if (target >= before) break;
    widest.cells = widest.cells.map((cell) => cutMiddle(cell, target));
  }
  return cut;
}

function leastOf<Row>(column: Column<Row>): number {
  return Math.max(column.cutTo ?? 0, column.title.length);
}

function widthOf(cells: readonly string[]): number {
  return Math.max(...cells.map(columnsOf));
}

function totalOf<Row>(columns: readonly Kept<Row>[]): number {
  return columns.reduce((sum, { cells }) => sum + widthOf(cells), 0) + gap.length * (columns.length - 1);
}
