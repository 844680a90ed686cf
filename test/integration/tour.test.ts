/** docs/tutorial: the tour runs as it is printed, and prints what it says. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';

import { packageRoot } from '../harness/command.ts';
import { cliPath, DaemonProcess } from '../harness/daemon_process.ts';
import { makeGuest } from '../harness/guest/guest.ts';
import { missingFrom, Page } from '../harness/page.ts';
import { readable, TerminalSession } from '../harness/terminal.ts';

const page = new Page('tutorial/tour.md');
const script = readFileSync(join(packageRoot, 'docs', 'tutorial', 'tour.sh'), 'utf8');
const columns = 80;
/** Seven times a guest boots, in software; a machine with other work has its time. */
const minutes_max = 15;

it('the script is what the page says, block by block', () => {
  const [, body = ''] = script.split('set -v\n');
  const commands = body
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('# '))
    .join('\n');
  expect(commands).toBe(
    page
      .blocks('sh')
      .join('')
      .split('\n')
      .filter((line) => line !== '')
      .join('\n'),
  );
  const headings = page.headings();
  expect([...body.matchAll(/^# (.*)$/gm)].map(([, heading]) => heading)).toEqual(
    headings.filter((heading) => body.includes(`# ${heading}\n`)),
  );
});

it(
  'what the page shows is what a terminal of 80 columns shows: image, guest, snapshot, rollback, export',
  async () => {
    await makeGuest();
    const daemon = new DaemonProcess();
    const bin = mkdtempSync(join(tmpdir(), 'skerry-tour-'));
    onTestFinished(async () => {
      await daemon.destroy();
      rmSync(bin, { recursive: true, force: true });
    });
    await daemon.start();
    const command = join(bin, 'skerry');
    writeFileSync(command, `#!/bin/sh\nexec '${process.execPath}' '${cliPath}' "$@"\n`);
    chmodSync(command, 0o755);

    const tour = new TerminalSession('bash docs/tutorial/tour.sh', {
      columns,
      cwd: packageRoot,
      env: {
        PATH: `${bin}:${process.env['PATH'] ?? ''}`,
        SKERRY_DATA: daemon.directory,
        ACCEL: 'tcg',
        TMPDIR: bin,
        NO_COLOR: '',
      },
    });
    onTestFinished(() => tour.kill());
    const code = await tour.ended();
    const lines = readable(tour.shown);
    expect({ code, end: lines.slice(-3) }).toMatchObject({ code: 0 });

    expect(missingFrom(lines, page.blocks('text').join('')), `of what came:\n${lines.join('\n')}`).toBeNull();
    expect(tour.shown).toContain('\u001b[1mNAME');
    // Lines of the script are echoed as they are written, JSON is one line, and a sentence is left whole for whoever copies of it.
    const written = new Set(script.split('\n'));
    expect(
      lines.filter((line) => line.length > columns && !written.has(line) && !/^[{]|^(?:imported|exported|skerry:) /.test(line)),
    ).toEqual([]);
    for (const kind of ['volume', 'snapshot', 'image']) expect(await daemon.json(kind, 'list')).toEqual([]);
  },
  minutes_max * 60_000,
);
