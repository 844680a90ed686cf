import { describe, expect, it, vi } from 'vitest';

import { topResult } from '../../../src/cli/outputs.js';
import { shortTime } from '../../../src/cli/top.js';
import { FakeDaemon, FakeTerminal } from './fake_terminal.js';

const escape = '\u001b';

function terminalOf(columns: number | null): FakeTerminal {
  const terminal = new FakeTerminal();
  terminal.outColumns = columns;
  terminal.outRows = columns === null ? null : 10;
  return terminal;
}

describe('top in a pipe', () => {
  it('--once is one table of one interval', async () => {
    const daemon = await FakeDaemon.start();
    const { code, output } = await daemon.run('top --once --interval 0.1');
    expect(code).toBe(0);
    const lines = output.trimEnd().split('\n');
    expect(lines[0]).toBe('journal [#####...............] 25% (1G of 4G)');
    expect(lines[2]).toMatch(/^NAME +CONNS +READS\/S +READ +TIME +WRITES\/S/);
    expect(lines[3]).toMatch(/^vm1 +2 +100 +400K\/s +2\.0ms +- +- +-/);
    expect(lines).toHaveLength(4);
    expect(output).not.toContain(escape);
  });

  it('cuts a long name before it leaves out a column, and shows errors at any width where there are any', async () => {
    const daemon = await FakeDaemon.start();
    daemon.activityFields = { name: 'web-frontend-production-eu-west-1' };
    const narrow = async (): Promise<string[]> => {
      const terminal = terminalOf(80);
      const { output } = await daemon.run('top --once --interval 0.1 --no-color', terminal);
      return output.split('\n').slice(2);
    };
    const [title, row] = await narrow();
    expect(title).toMatch(/^NAME +READS\/S +READ +TIME +WRITES\/S +WRITTEN +TIME/);
    expect(title).not.toContain('ERRORS');
    expect(row).toMatch(/^web-[a-z-]+…[a-z-]+-west-1 +100 /);
    const looked = daemon.looks;
    Object.defineProperty(daemon.activityFields, 'write', {
      enumerable: true,
      get: () => ({ operations: 0, bytes: 0, errors: (daemon.looks - looked) * 3, latencySeconds: 0 }),
    });
    const [titleThen, rowThen] = await narrow();
    expect(titleThen).toMatch(/ERRORS\/S$/);
    expect(rowThen).toMatch(/3\.0$/);
  });

  it('goes on until Ctrl-C, a table or a line of JSON each time', async () => {
    for (const json of [false, true]) {
      const daemon = await FakeDaemon.start();
      const terminal = terminalOf(null);
      const running = daemon.run(`top --interval 0.1${json ? ' --json' : ''}`, terminal);
      await vi.waitFor(() => expect(terminal.output.match(json ? /"seconds":1/g : /^NAME/gm)?.length).toBeGreaterThanOrEqual(3));
      terminal.interrupt();
      expect(await running).toMatchObject({ code: 0, errors: '' });
      expect(terminal.listensForInterrupt).toBe(false);
      if (json) for (const line of terminal.output.trimEnd().split('\n')) topResult.parse(JSON.parse(line));
    }
  });
});

describe('top on a terminal', () => {
  it('takes the screen, refreshes it, and gives it back on q', async () => {
    const daemon = await FakeDaemon.start();
    const terminal = terminalOf(80);
    const running = daemon.run('top --interval 0.1', terminal);
    await vi.waitFor(() => expect(terminal.output.split(`${escape}[H`).length).toBeGreaterThanOrEqual(4));
    terminal.press('x');
    expect(terminal.listensForKeys).toBe(true);
    terminal.press('q');
    expect((await running).code).toBe(0);
    expect(terminal.output.startsWith(`${escape}[?1049h${escape}[?25l${escape}[?7l`)).toBe(true);
    expect(terminal.output.endsWith(`${escape}[?7h${escape}[?25h${escape}[?1049l`)).toBe(true);
    expect({ keys: terminal.listensForKeys, interrupts: terminal.listensForInterrupt }).toEqual({
      keys: false,
      interrupts: false,
    });
  });

  it('ends on Ctrl-C as a key and as a signal', async () => {
    for (const end of [(terminal: FakeTerminal) => terminal.press('\u0003'), (terminal: FakeTerminal) => terminal.interrupt()]) {
      const daemon = await FakeDaemon.start();
      const terminal = terminalOf(80);
      const running = daemon.run('top', terminal);
      await vi.waitFor(() => expect(terminal.output).toContain('looking'));
      end(terminal);
      expect((await running).code).toBe(0);
      expect(terminal.output.endsWith(`${escape}[?1049l`)).toBe(true);
    }
  });

  it('shows no more lines than there are, and none wider', async () => {
    const daemon = await FakeDaemon.start();
    const terminal = terminalOf(40);
    terminal.outRows = 5;
    terminal.environment['NO_COLOR'] = '1';
    const running = daemon.run('top --interval 0.1', terminal);
    await vi.waitFor(() => expect(terminal.output).toContain('vm1'));
    terminal.press('q');
    await running;
    for (const frame of terminal.output.split(`${escape}[H`).slice(1)) {
      const lines = frame.split('\r\n').map((line) => line.split(escape)[0] ?? '');
      expect(lines.length).toBeLessThanOrEqual(5);
      for (const line of lines) expect(line.length).toBeLessThanOrEqual(40);
    }
  });

  it('leaves the screen alone where no daemon answers', async () => {
    const daemon = await FakeDaemon.start();
    const terminal = terminalOf(80);
    const { code, errors } = await daemon.run('top --data /nowhere --no-color', terminal);
    expect({ code, output: terminal.output }).toEqual({ code: 1, output: '' });
    expect(errors).toContain('no daemon answers');
  });

  it('is one table after the other where the terminal is dumb', async () => {
    const daemon = await FakeDaemon.start();
    const terminal = terminalOf(80);
    terminal.environment['TERM'] = 'dumb';
    const running = daemon.run('top --interval 0.1', terminal);
    await vi.waitFor(() => expect(terminal.output.match(/^NAME/gm)?.length).toBeGreaterThanOrEqual(2));
    terminal.interrupt();
    await running;
    expect(terminal.output).not.toContain(escape);
  });
});

it.each([
  [null, '-'],
  [0.000_085, '85us'],
  [0.001_234, '1.2ms'],
  [0.0999, '100ms'],
  [2.5, '2.5s'],
])('a time of %s s is %s', (seconds, words) => {
  expect(shortTime(seconds)).toBe(words);
});
