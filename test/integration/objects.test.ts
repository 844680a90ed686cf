/** The object layer over a real engine and a real catalog, killed again and again. */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';

const worker = fileURLToPath(new URL('../harness/object_worker.mjs', import.meta.url));
const lives = 4;
const lines_per_life = 60;
const trash: string[] = [];

afterEach(() => {
  for (const path of trash.splice(0)) rmSync(path, { recursive: true, force: true });
});

interface Line {
  readonly key: string;
  readonly begun?: boolean;
  readonly same?: boolean;
  readonly bytes?: number | null;
  readonly seed?: number;
}

/** Lets it work until it has said so many lines, and kills it there. */
async function live(args: readonly string[], told: (line: Line) => void): Promise<void> {
  const child = spawn(process.execPath, [worker, 'work', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    told(JSON.parse(line) as Line);
    lines += 1;
    if (lines === lines_per_life) child.kill('SIGKILL');
  }
  await ended;
  expect(lines).toBeGreaterThanOrEqual(lines_per_life);
}

async function check(args: readonly string[]) {
  const child = spawn(process.execPath, [worker, 'check', ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  for await (const chunk of child.stdout) text += String(chunk);
  return JSON.parse(text) as { wrong: string[]; owned: number; held: number; extents: number };
}

test('what was acknowledged is there after every kill, and what was not takes no room', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'skerry-objects-'));
  const ringName = `skerry-${directory.slice(directory.lastIndexOf('/') + 1)}`;
  trash.push(directory, join('/dev/shm', ringName));
  const there = new Map<string, Line>();
  for (let life = 0; life < lives; life += 1) {
    const begun = new Map<string, number>();
    await live([directory, ringName, String(1000 * (life + 1))], (line) => {
      const { key } = line;
      begun.set(key, (begun.get(key) ?? 0) + (line.begun === true ? 1 : -1));
      if (line.begun !== true && line.same !== true) there.set(key, line);
    });
    // What was under way may have been made or not, and so may its copy.
    for (const [key, count] of begun) if (count !== 0) there.delete(key);
    const list = join(directory, 'acknowledged.json');
    writeFileSync(list, JSON.stringify([...there.values()]));
    const { wrong, owned, held, extents } = await check([directory, ringName, '0', list]);
    expect(wrong).toEqual([]);
    // Maps count in blocks of 64 KiB, of which an extent shares its last with others.
    expect(held).toBeGreaterThanOrEqual(owned);
    expect(held - owned).toBeLessThanOrEqual(extents * 65_536);
  }
});
