/** The command in a real terminal, narrow and wide, with colors and without, and on Ctrl-C. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { run } from '../harness/command.ts';
import { cliPath, DaemonProcess } from '../harness/daemon_process.ts';
import { NbdSession } from '../harness/nbd_session.ts';
import { readable, TerminalSession } from '../harness/terminal.ts';

let daemon: DaemonProcess;
const long = 'web-frontend-production-eu-west-1-blue';
const image = 'debian-12-generic-amd64-20251122-with-all-that-we-need-on-our-machines-and-then-some-more.raw';

beforeAll(async () => {
  daemon = new DaemonProcess();
  await daemon.start();
  await daemon.ok('volume', 'create', 'vm1', '--size', '20G', '--label', 'role=db', '--label', 'team=storage');
  await daemon.ok(
    'volume',
    'create',
    long,
    '--size',
    '1.5T',
    '--description',
    'what all of the web is made of, 岩礁 and more'.repeat(3),
    ...Array.from({ length: 12 }, (_, at) => ['--label', `label-${at}=${'value'.repeat(4)}-${at}`]).flat(),
  );
  await daemon.ok('volume', 'create', 'small', '--size', '1M');
  const raw = join(daemon.directory, 'small.raw');
  await daemon.ok('image', 'export', 'small', raw);
  await daemon.ok('image', 'import', raw, image);
  await daemon.ok('snapshot', 'create', `${long}@before-the-upgrade-of-november`);
  await daemon.ok('clone', `${long}@before-the-upgrade-of-november`, 'fork');
});

afterAll(() => daemon.destroy());

interface Ran {
  readonly code: number;
  readonly shown: string;
  readonly lines: readonly string[];
}

function inTerminal(line: string, columns: number, env: NodeJS.ProcessEnv = {}): TerminalSession {
  const command = `'${process.execPath}' '${cliPath}' --data '${daemon.directory}'`;
  const session = new TerminalSession(`${command} ${line}`, { columns, env });
  onTestFinished(() => session.kill());
  return session;
}

async function shownBy(line: string, columns: number, env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const session = inTerminal(line, columns, { NO_COLOR: '', ...env });
  const code = await session.ended();
  return { code, shown: session.shown, lines: readable(session.shown).filter((one) => one !== '') };
}

/** What it shows, of which no line may be wider than the terminal. */
async function fitting(line: string, columns: number, env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  const ran = await shownBy(line, columns, env);
  expect(ran.code).toBe(0);
  expect(ran.lines.filter((one) => widthOf(one) > columns)).toEqual([]);
  return ran;
}

/** CJK takes two columns each. */
function widthOf(line: string): number {
  return line.length + (line.match(/[\u4e00-\u9fff]/g)?.length ?? 0);
}

describe('a terminal', () => {
  it('of 80 columns gets tables of 80 columns, one of 200 the rest of them', async () => {
    for (const list of ['volume list', 'snapshot list', 'image list', 'pool list', 'top --once --interval 0.1']) {
      const [narrow, wide] = [await fitting(list, 80), await fitting(list, 200)];
      expect(wide.lines).toHaveLength(narrow.lines.length);
    }
    const [title = '', ...rows] = (await shownBy('volume list', 200)).lines;
    for (const column of ['NAME', 'SIZE', 'CREATED', 'DESCRIPTION', 'LABELS']) expect(title).toContain(column);
    expect(rows.some((row) => row.includes('what all of') && row.includes('…'))).toBe(true);
    expect((await shownBy('volume list', 80)).lines.join('\n')).toContain(long);
  });

  it('gets no line that is wider than it, with colors or without, of what is told of one thing either', async () => {
    const disk = join(daemon.directory, 'a-disk-with-a-name-that-is-about-as-long-as-names-of-disks-get-these-days.raw');
    await daemon.ok('image', 'export', 'small', disk);
    for (const line of [
      'status',
      'space',
      `space ${long}`,
      `volume show ${long}`,
      `volume show vm1`,
      `snapshot list ${long}`,
      `image show ${image}`,
      'image list',
      'pool show',
      `pool estimate '${disk}'`,
      `pool estimate '${disk}' '${disk}'`,
      'pool gc --dry-run',
    ]) {
      for (const columns of [80, 200]) {
        const colored = await fitting(line, columns);
        const plain = await fitting(line, columns, { NO_COLOR: '1' });
        expect(plain.shown).not.toContain('\u001b[3');
        expect(colored.lines.length).toBe(plain.lines.length);
      }
    }
    const narrow = (await shownBy(`volume show ${long}`, 80)).lines.map((line) => line.trim()).join(' ');
    for (let at = 0; at < 12; at += 1) expect(narrow).toContain(`label-${at}=${'value'.repeat(4)}-${at}`);
  });

  it('shows colors unless it is asked not to, and a pipe gets none and all of the table', async () => {
    for (const line of ['volume list', 'status', 'volume show none', '--help']) {
      const { shown, lines } = await shownBy(line, 80);
      expect(shown).toContain('\u001b[');
      for (const plain of [
        await shownBy(line, 80, { NO_COLOR: '1' }),
        await shownBy(`--no-color ${line}`, 80),
        await shownBy(line, 80, { TERM: 'dumb' }),
      ]) {
        expect(plain.shown).not.toContain('\u001b');
        if (line !== 'status') expect(plain.lines).toEqual(lines);
      }
    }
    const piped = await daemon.ok('volume', 'list');
    expect(piped).not.toContain('\u001b');
    expect(piped).not.toContain('…');
    expect(piped).toContain('what all of the web is made of, 岩礁 and more'.repeat(3));
  });

  it('gets the help in lines of its width', async () => {
    for (const line of ['--help', 'volume create --help', 'serve --help', 'image import --help']) {
      const { lines } = await shownBy(line, 80);
      // Examples are to be copied, and stand as they are.
      const options = lines.slice(0, lines.indexOf('Examples:')).filter((one) => !one.startsWith('Once it serves'));
      expect(options.filter((one) => one.length > 80 && one.startsWith(' '))).toEqual([]);
    }
  });
});

describe('top', () => {
  it.each([
    ['q', 'q'],
    ['Ctrl-C', '\u0003'],
  ])('follows a volume and gives the terminal back on %s', async (_name, key) => {
    const session = inTerminal('top --interval 0.2; stty -a', 100);
    await session.until(/nothing is attached/);
    const client = await NbdSession.open(await daemon.uri('vm1'));
    onTestFinished(() => client.close());
    await session.until(/vm1 +1 /);
    session.press(key);
    expect(await session.ended()).toBe(0);
    const [before = '', after = ''] = session.shown.split('\u001b[?1049l');
    expect(before).toContain('\u001b[?1049h');
    expect(after).toMatch(/[^-]icanon/);
    expect(after).toMatch(/[^-]echo /);
  });

  it('waits for a daemon that is away, and goes on', async () => {
    const own = new DaemonProcess();
    onTestFinished(() => own.destroy());
    await own.start();
    const command = `'${process.execPath}' '${cliPath}' --data '${own.directory}'`;
    const session = new TerminalSession(`${command} top --interval 0.2`, { columns: 120 });
    onTestFinished(() => session.kill());
    await session.until(/nothing is attached/);
    await own.kill();
    await session.until(/no daemon answers.*trying again/s);
    const seen = session.shown.length;
    await own.start();
    await session.until(new RegExp(`^[^]{${seen}}[^]*nothing is attached`));
    session.press('q');
    expect(await session.ended()).toBe(0);
  });
});

describe('Ctrl-C', () => {
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'skerry-terminal-'));
    await run('dd', ['if=/dev/urandom', `of=${folder}/noise`, 'bs=1M', 'count=64', 'status=none']);
    await daemon.ok('image', 'import', join(folder, 'noise'), 'noise');
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Some of the file, and then nothing, and no end either; `sent` is there once that much was taken. */
  const partOf = (file: string): string => `<(head -c 8M '${file}'; touch '${folder}/sent'; sleep 600)`;

  async function untilSent(): Promise<void> {
    while (!existsSync(join(folder, 'sent'))) await new Promise((resolve) => setTimeout(resolve, 20));
    rmSync(join(folder, 'sent'));
  }

  it('ends what feeds an import as well, and what came of a disk is not taken for all of it', async () => {
    const session = inTerminal(`image import - part < ${partOf(`${folder}/noise`)}`, 80);
    await session.until(/importing part/);
    await untilSent();
    session.press('\u0003');
    expect(await session.ended()).not.toBe(0);
    expect(readable(session.shown).join('\n')).toContain('the import of part was cancelled; nothing of it was kept');
    expect((await daemon.cli('image', 'show', 'part')).code).toBe(3);
  });

  it('while a stream is applied says that the volume holds a part of it, and applying all of it makes it whole', async () => {
    await daemon.ok('volume', 'create', 'empty', '--size', '64M');
    const whole = join(folder, 'whole');
    await daemon.ok('snapshot', 'create', 'empty@blank');
    await daemon.ok('snapshot', 'diff', 'empty@blank', 'noise', '--stream', whole);
    const session = inTerminal(`volume apply empty - < ${partOf(whole)}`, 80);
    await untilSent();
    session.press('\u0003');
    expect(await session.ended()).not.toBe(0);
    // Ctrl-C ends what feeds it as well: whichever it hears of first, it says the same of the volume.
    expect(readable(session.shown).join('\n')).toMatch(
      /volume empty (?:holds part of the stream; apply all of it|may hold a part of it: apply the whole stream)/,
    );
    await daemon.ok('volume', 'apply', 'empty', whole, '--any-base');
    await daemon.ok('image', 'export', 'empty', join(folder, 'applied'));
    expect((await run('cmp', [join(folder, 'applied'), join(folder, 'noise')])).code).toBe(0);
  });

  it('while a stream is written removes the file', async () => {
    const stream = join(folder, 'stream');
    await daemon.ok('volume', 'create', 'blank', '--size', '64M');
    const session = inTerminal(`snapshot diff blank noise --stream '${stream}'`, 80);
    while (!existsSync(stream)) await new Promise((resolve) => setTimeout(resolve, 1));
    session.press('\u0003');
    const code = await session.ended();
    // The stream may have been the faster one, and is whole then.
    expect(existsSync(stream)).toBe(code === 0);
    if (code !== 0) expect(readable(session.shown).join('\n')).toContain(`the stream was cancelled; ${stream} was removed`);
  });
});
