/** A page of docs/ whose blocks are run: what stands in them, and whether what came is what it shows. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { packageRoot } from './command.ts';

export class Page {
  readonly text: string;

  /** `path` under docs/. */
  constructor(path: string) {
    this.text = readFileSync(join(packageRoot, 'docs', path), 'utf8');
  }

  /** What stands in the fences of that language. */
  blocks(language: string): string[] {
    return [...this.text.matchAll(new RegExp(`^\`\`\`${language}\n(.*?)^\`\`\`$`, 'gms'))].map(([, block = '']) => block);
  }

  headings(): string[] {
    return [...this.text.matchAll(/^## (.*)$/gm)].map(([, heading = '']) => heading);
  }
}

/** The first line of what a block shows that did not come, in its turn; null where all did. `...` stands for anything. */
export function missingFrom(came: readonly string[], block: string): string | null {
  let from = 0;
  for (const line of block.trimEnd().split('\n')) {
    const pattern = patternOf(line);
    const at = came.findIndex((one, index) => index >= from && pattern.test(one));
    if (at < 0) return line;
    from = at + 1;
  }
  return null;
}

function patternOf(line: string): RegExp {
  const literal = line.split('...').map((part) => part.replace(/[\\^$.*+?()[\]{}|]/g, String.raw`\$&`));
  return new RegExp(`^${literal.join('.*')}$`);
}
