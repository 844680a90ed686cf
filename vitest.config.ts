import { defineConfig } from 'vitest/config';

/** One project for each folder of test/, so that each can be run, and timed, by its name. */
const project = (name: string, minutesPerTest: number) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
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
    projects: [project('unit', 0.5), project('conformance', 5), project('integration', 5), project('crash', 15)],
  },
});
