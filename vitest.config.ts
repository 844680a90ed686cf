import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files are begun by their size, and those that only name a backend would be waited for at the end, minutes long each. */
class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification) => /\/integration\/(backend|moves_between)_/.test(moduleId);
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

/** One project for each folder of test/, so that each can be run, and timed, by its name. */
const project = (name: string, minutesPerTest: number, include = `test/${name}/**/*.test.ts`) => ({
  test: {
    name,
    include: [include],
    pool: 'forks' as const,
    testTimeout: minutesPerTest * 60_000,
    hookTimeout: minutesPerTest * 60_000,
    // A busy machine may take its time; what never comes ends with the test.
    expect: { poll: { timeout: minutesPerTest * 30_000 } },
  },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    globalSetup: 'test/harness/leftovers.ts',
    sequence: { sequencer: LongestFirst },
    projects: [
      project('unit', 0.5),
      project('conformance', 5),
      project('integration', 5),
      project('crash', 15),
      // By hand: suites of others, which take an hour.
      project('judge', 180, 'test/conformance/external/*.judge.ts'),
    ],
  },
});
