/** Text as a terminal shows it: how wide it is, what of it fits, and nothing that would steer the terminal. */

/** Columns that `text` takes: two for what East Asian scripts and emoji are made of, none for marks that stand on others. */
export function columnsOf(text: string): number {
  let columns = 0;
  for (const character of text) columns += columnsOfOne(character);
  return columns;
}

/** At most `width` columns, with `…` for what was lost at the end. */
export function cutEnd(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  return `${taken(Array.from(text), width - 1)}…`;
}

/** The same with the loss in the middle: names often differ at their ends. */
export function cutMiddle(text: string, width: number): string {
  if (columnsOf(text) <= width) return text;
  const tail = Math.floor((width - 1) / 2);
  const all = Array.from(text);
  const end = Array.from(taken(all.toReversed(), tail)).toReversed().join('');
  return `${taken(all, width - 1 - tail)}…${end}`;
}

/** Control characters, which a description may hold and a terminal would obey, as what they are called: `\\n`, `\\u001b`. */
export function printable(text: string): string {
  // oxlint-disable-next-line no-control-regex -- they are what is looked for
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g, (character) => {
    const short = JSON.stringify(character).slice(1, -1);
    return short === character ? `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}` : short;
  });
}

/** Lines of at most `width` columns, broken at spaces and, where a word is longer than a line, in it; those after the first begin with `indent` blanks. */
export function wrapped(text: string, width: number | null, indent: number): string {
  if (width === null) return text;
  const room = Math.max(20, width - indent);
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ').flatMap((one) => pieces(one, room))) {
    if (line !== '' && columnsOf(line) + 1 + columnsOf(word) > room) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join(`\n${' '.repeat(indent)}`);
}

/** Of at most `width` columns each. */
function pieces(word: string, width: number): readonly string[] {
  const cut: string[] = [];
  let left = word;
  while (columnsOf(left) > width) {
    const piece = taken(Array.from(left), width);
    cut.push(piece);
    left = left.slice(piece.length);
  }
  return [...cut, left];
}

function taken(characters: readonly string[], width: number): string {
  let columns = 0;
  let text = '';
  for (const character of characters) {
    columns += columnsOfOne(character);
    if (columns > width) break;
    text += character;
  }
  return text;
}

const marks = /^[\p{Mn}\p{Me}\p{Cf}]$/u;
// Hangul, kana, CJK with its punctuation, full-width forms, and what is drawn as an emoji.
const wide =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{20000}-\u{3fffd}]$|^\p{Emoji_Presentation}$/u;

function columnsOfOne(character: string): 0 | 1 | 2 {
  if (character <= '\u00ff') return 1;
  return marks.test(character) ? 0 : wide.test(character) ? 2 : 1;
}
