/** docs/how_to/control.md: each program is typed, runs against a daemon, and prints what the page shows. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';

import { packageRoot, run } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';
import { missingFrom, Page } from '../harness/page.ts';

const page = new Page('how_to/control.md');
const programs = page.blocks('ts');
const shown = page.blocks('text');
// Within the package, so that its own name leads to what it exports, as it does for those who installed it.
const folder = join(packageRoot, 'build', 'examples');
const file = (at: number): string => join(folder, `example_${at}.ts`);
let daemon: DaemonProcess;

beforeAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [at, program] of programs.entries()) writeFileSync(file(at), program);
  daemon = new DaemonProcess();
  await daemon.start();
});

afterAll(() => daemon.destroy());

it('every program has what it prints', () => {
  expect(programs.length).toBeGreaterThanOrEqual(6);
  expect(shown).toHaveLength(programs.length);
  expect(page.headings()).toHaveLength(programs.length);
});

it('the programs are typed by what the package publishes', async () => {
  const config = join(folder, 'tsconfig.json');
  const compilerOptions = { noEmit: true, rootDir: packageRoot, types: ['node'] };
  writeFileSync(config, JSON.stringify({ extends: '../../tsconfig.json', compilerOptions, include: ['*.ts'], exclude: [] }));
  const tsc = join(packageRoot, 'node_modules', '.bin', 'tsc');
  expect(await run(tsc, ['-p', config])).toMatchObject({ code: 0, stdout: '' });
  writeFileSync(
    join(folder, 'wrong.ts'),
    `import { connect } from 'skerry/control';\nawait connect().createVolume({ name: 1 });\n`,
  );
  expect((await run(tsc, ['-p', config])).stdout).toContain("Type 'number' is not assignable to type 'string'");
});

it.each(page.headings().map((heading, at) => [heading, at] as const))('%s', async (_heading, at) => {
  const { code, stdout, stderr } = await run(process.execPath, ['--no-warnings', file(at)], {
    env: { SKERRY_DATA: daemon.directory },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(missingFrom(stdout.split('\n'), shown[at] ?? ''), `of what came:\n${stdout}`).toBeNull();
});
