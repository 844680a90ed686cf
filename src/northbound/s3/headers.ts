/** The headers of a request as they came: whatever the case of their names, and with those that came more than once. */
import { S3Failure } from './errors.js';

export type HeaderLine = readonly [name: string, value: string];

export class Headers {
  readonly #values = new Map<string, string[]>();

  /**
   * One character for each byte, as node gives them.
   * @throws S3Failure InvalidRequest where a line cannot have come over HTTP: what is signed is made of lines
   */
  constructor(lines: readonly HeaderLine[]) {
    for (const [name, value] of lines) {
      if (!/^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/.test(name)) throw new S3Failure('InvalidRequest', 'A header has a bad name');
      if (!isFieldValue(value)) throw new S3Failure('InvalidRequest', `The header ${name} has a value that no header can have`);
      const key = name.toLowerCase();
      const values = this.#values.get(key);
      if (values === undefined) this.#values.set(key, [value]);
      else values.push(value);
    }
  }

  /** In lower case. */
  names(): string[] {
    return [...this.#values.keys()];
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** `name` in lower case; in the order they came. */
  all(name: string): readonly string[] {
    return this.#values.get(name) ?? [];
  }

  /** The values of that name, without the space around them, as one list: which is what several lines mean. */
  get(name: string): string | undefined {
    const values = this.#values.get(name);
    const [first] = values ?? [];
    return values?.length === 1 && first !== undefined ? unfolded(first) : values?.map(unfolded).join(',');
  }
}

/** Without the white space around it, and of what folded it onto several lines one space. */
export function unfolded(value: string): string {
  return value.includes('\n') ? value.split(/\r?\n/).map(trimmed).join(' ') : trimmed(value);
}

/**
 * Without spaces and tabs around it, and nothing else: what String.trim takes may be half a character here. A pattern for the end would try each
 * space of a long run within.
 */
function trimmed(value: string): string {
  let start = 0;
  let end = value.length;
  while (start < end && isSpace(value.charCodeAt(start))) start += 1;
  while (end > start && isSpace(value.charCodeAt(end - 1))) end -= 1;
  return value.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

function isFieldValue(value: string): boolean {
  const plain = value.includes('\n') ? value.replace(/\r?\n[ \t]+/g, ' ') : value;
  // oxlint-disable-next-line no-control-regex
  return /^[\t\x20-\x7e\x80-\xff]*$/.test(plain);
}
