/** Runs the laws on one subject: a driver, or a stack of filters over one. */
import { describe, test } from 'vitest';

import type { Driver, DriverTraits } from '../../src/driver/driver.js';
import { laws } from './laws.js';

/** `open`: a fresh, empty driver for each law. `traits`: as it declares them, known before anything is started. */
export function lawsOn(name: string, traits: DriverTraits, open: () => Promise<Driver>): void {
  describe(name, () => {
    for (const law of laws.filter((candidate) => candidate.needs?.(traits) !== false)) {
      test(law.title, async () => {
        const driver = await open();
        try {
          await law.check(driver);
        } finally {
          await driver.close();
        }
      });
    }
  });
}
