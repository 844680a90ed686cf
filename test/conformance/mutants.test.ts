import { expect, test } from 'vitest';

import { laws } from './laws.js';
import { mutants, type Mutant } from './mutants.js';

/** Titles of the laws that a driver breaks, a fresh one for each. */
async function brokenBy(mutant: Mutant): Promise<string[]> {
  const broken: string[] = [];
  for (const law of laws) {
    const driver = mutant.make();
    if (law.needs?.(driver.traits) === false) continue;
    try {
      await law.check(driver);
    } catch {
      broken.push(law.title);
    }
  }
  return broken;
}

for (const mutant of mutants) {
  test(`the laws notice a driver that ${mutant.title}`, async () => {
    expect(await brokenBy(mutant)).not.toEqual([]);
  });
}

test('every law but those that no memory driver can break is broken by some mutant', async () => {
  const noticed = new Set<string>();
  for (const mutant of mutants) for (const title of await brokenBy(mutant)) noticed.add(title);
  // These need a driver with files or with work under way; the traits are plain numbers.
  const exempt = [
    'chunks are read where the direct path',
    'a chunk that came by the direct path',
    'the traits are numbers',
    'closing waits',
  ];
  const unproven = laws
    .map((law) => law.title)
    .filter((title) => !noticed.has(title) && !exempt.some((begin) => title.startsWith(begin)));
  expect(unproven).toEqual([]);
});
