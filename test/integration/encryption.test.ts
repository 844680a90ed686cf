/**
 * Encrypted pools of a real daemon: what is written comes back through kill -9, restarts and changes of the key, and nothing of it, no
 * page, name or id that could be computed without the key, stands where the pool rests or is staged.
 */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const MiB = 1 << 20;
const page_bytes = 4096;
const block_bytes = 65_536;
const key = Buffer.alloc(32, 'k').toString('hex');
const names = [
  'ledger-of-the-harbour',
  'before-the-storm',
  'lighthouse-keeper',
  'written by the keeper of the light',
  'strongroom',
];

let daemon: DaemonProcess;
let scratch: string;

const at = (name: string): string => join(scratch, name);

function putKey(name: string, digits: string): string {
  writeFileSync(at(name), `${digits}\n`);
  chmodSync(at(name), 0o600);
  return at(name);
}

beforeEach(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'skerry-encryption-'));
  daemon = new DaemonProcess({});
  await daemon.start();
});
afterEach(async () => {
  await daemon.destroy();
  rmSync(scratch, { recursive: true, force: true });
});

/** Every page has its own lines, half of them noise, so that some blocks shrink. */
function known(bytes: number): Buffer {
  const content = Buffer.alloc(bytes);
  for (let offset = 0; offset < bytes; offset += page_bytes) {
    const line = `page ${offset / page_bytes} of the ledger: the boats of the north harbour are back\n`;
    content.write(line.repeat(70).slice(0, page_bytes), offset, 'latin1');
    if ((offset / block_bytes) & 1) randomBytes(page_bytes / 2).copy(content, offset + page_bytes / 2);
  }
  return content;
}

/** Pieces of each page, names, and what ids of the content would be without a key or under keys that somebody may guess. */
function secretsOf(content: Buffer): readonly { readonly what: string; readonly bytes: Buffer }[] {
  const found: { what: string; bytes: Buffer }[] = names.map((name) => ({ what: `the name ${name}`, bytes: Buffer.from(name) }));
  found.push({ what: 'the key', bytes: Buffer.from(key, 'hex') }, { what: 'the key in digits', bytes: Buffer.from(key) });
  for (let offset = 0; offset < content.length; offset += 4 * page_bytes) {
    const page = content.subarray(offset, offset + page_bytes);
    found.push({ what: `bytes of page ${offset / page_bytes}`, bytes: page.subarray(64, 96) });
    found.push({ what: 'noise of a page', bytes: page.subarray(page_bytes - 32) });
  }
  const guesses = [Buffer.alloc(32), Buffer.from(key, 'hex'), Buffer.from(key)];
  for (let offset = 0; offset < content.length; offset += 4 * block_bytes) {
    const block = content.subarray(offset, offset + block_bytes);
    const hashes: Buffer[] = [
      createHash('sha256').update(block).digest(),
      createHash('sha256').update(block.subarray(0, page_bytes)).digest(),
    ];
    for (const guess of guesses) {
      const mac = (data: Buffer): Buffer => createHmac('sha256', guess).update(data).digest();
      const pages = Array.from({ length: 16 }, (_, index) => mac(block.subarray(index * page_bytes, (index + 1) * page_bytes)));
      hashes.push(mac(Buffer.concat(pages)));
    }
    for (const hash of hashes) found.push({ what: 'a hash of known content', bytes: hash.subarray(0, 16) });
  }
  return found;
}

/** Which of them stand in any file below, or in its name. */
function tellingIn(directory: string, content: Buffer): readonly string[] {
  const secrets = secretsOf(content);
  const told = new Set<string>();
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const bytes = Buffer.concat([Buffer.from(entry.name), readFileSync(path)]);
    for (const { what, bytes: secret } of secrets) if (bytes.includes(secret)) told.add(what);
  }
  return [...told];
}

async function write(volume: string, content: Buffer): Promise<void> {
  writeFileSync(at('content'), content);
  await must('nbdcopy', ['--flush', at('content'), await daemon.uri(volume)]);
}

async function read(volume: string, bytes: number): Promise<Buffer> {
  await must('nbdcopy', [await daemon.uri(volume), at('copy')]);
  return readFileSync(at('copy')).subarray(0, bytes);
}

interface Space {
  readonly resources: readonly { readonly journalledBytes: number }[];
}
async function settled(): Promise<void> {
  for (;;) {
    const { resources } = await daemon.json<Space>('space');
    if (resources.every(({ journalledBytes }) => journalledBytes === 0)) return;
    await sleep(200);
  }
}

/** Words of the command that makes a local pool. */
function creationOf(pool: string, ...more: readonly string[]): readonly string[] {
  return `pool create ${pool} --driver local --set directory=${at(pool)}`.split(' ').concat(more);
}

async function fill(pool: string, compression: string, source: readonly string[]): Promise<Buffer> {
  await daemon.ok(...creationOf(pool, '--compression', compression, ...source));
  const content = known(8 * MiB);
  const [volume = '', snapshot = '', label = '', description = ''] = names;
  await daemon.ok(
    'volume',
    'create',
    volume,
    '--size',
    '16M',
    '--pool',
    pool,
    '--description',
    description,
    '--label',
    `owner=${label}`,
  );
  await write(volume, content);
  await daemon.ok('snapshot', 'create', `${volume}@${snapshot}`);
  // A tombstone.
  await daemon.ok('volume', 'create', `${label}-2`, '--size', '1M', '--pool', pool);
  await daemon.ok('volume', 'delete', `${label}-2`);
  await settled();
  return content;
}

it('nothing of what it holds can be told from where an encrypted pool rests, and all of it comes back through kill -9', async () => {
  const [volume = '', snapshot = '', , , pool = ''] = names;
  const keyFile = putKey('key', key);
  const content = await fill(pool, 'lz4', ['--encrypt', '--key-file', keyFile]);
  const check = async (): Promise<void> => {
    expect((await read(volume, content.length)).equals(content)).toBe(true);
    expect((await read(`${volume}@${snapshot}`, content.length)).equals(content)).toBe(true);
  };
  await check();
  expect(await daemon.json('pool', 'show', pool)).toMatchObject({
    encryption: 'aes-256-gcm',
    keyFrom: `the key file ${keyFile}`,
  });
  await daemon.kill();
  expect(tellingIn(at(pool), content)).toEqual([]);
  await daemon.start();
  await check();
  // Large writes that no root has yet, and single pages, in the journal.
  const more = known(2 * MiB);
  await must('nbdcopy', ['--flush', (writeFileSync(at('content'), more), at('content')), await daemon.uri(volume)]);
  await daemon.kill();
  daemon.wipeRing();
  await daemon.start();
  expect((await read(volume, more.length)).equals(more)).toBe(true);
  await daemon.ok('image', 'export', `${volume}@${snapshot}`, at('exported'));
  expect(readFileSync(at('exported')).subarray(0, content.length).equals(content)).toBe(true);
  // The same content again is the same blocks.
  const before = await daemon.json<{ blocks: number }>('pool', 'show', pool);
  await daemon.ok('volume', 'create', 'twin', '--size', '16M', '--pool', pool);
  await write('twin', content);
  expect((await daemon.json<{ blocks: number }>('pool', 'show', pool)).blocks).toBe(before.blocks);
  expect(await daemon.json('pool', 'scrub', pool)).toMatchObject({ state: 'done', damaged: 0 });
  await daemon.ok('volume', 'delete', 'twin');
  expect(await daemon.json('pool', 'gc', pool)).toMatchObject({ state: 'done' });
  expect((await read(volume, more.length)).equals(more)).toBe(true);
  // Without a daemon, by the key that the catalog tells of, by one that is given, and not without.
  await daemon.kill();
  expect(await daemon.json('pool', 'check', pool, '--deep')).toMatchObject({ healthy: true, pool });
  expect(await daemon.json('pool', 'check', pool, '--key-command', `/bin/cat ${keyFile}`)).toMatchObject({ healthy: true });
  const wrong = await daemon.cli('pool', 'check', pool, '--key-file', putKey('wrong', '0'.repeat(64)));
  expect(wrong.code).toBe(1);
  expect(wrong.stderr).toMatch(/wrong gives another key than the pool's/);
});

it('what the search looks for is found in a pool that is not encrypted', async () => {
  const content = await fill('plain', 'none', []);
  await daemon.kill();
  const told = tellingIn(at('plain'), content);
  for (const name of names.slice(0, 4)) expect(told).toContain(`the name ${name}`);
  expect(told).toContain('bytes of page 0');
  expect(told).toContain('noise of a page');
});

it('a missing or wrong key refuses the start with words, and with the right one everything is there again', async () => {
  const keyFile = putKey('key', key);
  const refused = await daemon.cli(...creationOf('vault', '--encrypt'));
  expect([refused.code, refused.stderr]).toEqual([2, expect.stringMatching(/--encrypt needs --key-file or --key-command/)]);
  chmodSync(keyFile, 0o644);
  const open = creationOf('vault', '--encrypt', '--key-file', keyFile);
  expect((await daemon.cli(...open)).stderr).toMatch(/everybody on this host may read/);
  chmodSync(keyFile, 0o600);
  await daemon.ok(...open);
  await daemon.ok('volume', 'create', 'vm', '--size', '4M', '--pool', 'vault');
  const content = known(2 * MiB);
  await write('vm', content);
  await daemon.kill();
  rmSync(keyFile);
  await expect(daemon.start()).rejects.toThrow(/pool vault is encrypted and stays closed: the key file .*key cannot be read/);
  putKey('key', 'ab'.repeat(32));
  await expect(daemon.start()).rejects.toThrow(/gives another key than the pool's/);
  putKey('key', 'no key');
  await expect(daemon.start()).rejects.toThrow(/gives no key/);
  expect(daemon.log).not.toMatch(new RegExp(`${'ab'.repeat(32)}|${key}`));
  putKey('key', key);
  await daemon.start();
  expect((await read('vm', content.length)).equals(content)).toBe(true);
  const never = await daemon.cli('pool', 'change-key', 'default', '--key-file', keyFile);
  expect([never.code, never.stderr]).toEqual([4, expect.stringMatching(/pool default is not encrypted, and cannot become so/)]);
});

it('a change of the key rewrites no data, and killed at any moment it leaves a pool that one of the two opens', async () => {
  const keys = [putKey('a', key), putKey('b', 'cd'.repeat(32))];
  await daemon.ok(...creationOf('vault', '--encrypt', '--key-file', keys[0] ?? ''));
  await daemon.ok('volume', 'create', 'vm', '--size', '4M', '--pool', 'vault');
  const content = known(2 * MiB);
  await write('vm', content);
  await daemon.ok('snapshot', 'create', 'vm@s');
  await settled();
  const packs = (): string =>
    JSON.stringify(readdirSync(join(at('vault'), 'packs')).map((name) => readFileSync(join(at('vault'), 'packs', name)).length));
  // An open pack is as long as it may become: sealed, it is as long as it is.
  await daemon.kill();
  await daemon.start();
  const before = packs();
  for (let round = 0; round < 6; round += 1) {
    const to = keys[(round + 1) % 2] ?? '';
    const changing = daemon.cli('pool', 'change-key', 'vault', '--key-file', to);
    // A command takes most of its time to begin: the last of these ends before it is killed.
    if (round < 5) await sleep(300 + round * 60);
    else await changing;
    await daemon.kill();
    await changing;
    await daemon.start();
    const { keyFrom } = await daemon.json<{ keyFrom: string }>('pool', 'show', 'vault');
    if (round === 5) expect(keyFrom).toBe(`the key file ${to}`);
    // Only the one that is told of is needed from here on, by who serves and by who checks.
    await daemon.kill();
    const other = keys.find((path) => !keyFrom.endsWith(path)) ?? '';
    const kept = readFileSync(other, 'utf8');
    rmSync(other);
    expect(await daemon.json('pool', 'check', 'vault')).toMatchObject({ healthy: true });
    await daemon.start();
    putKey(other.slice(scratch.length + 1), kept.trim());
    expect((await read('vm', content.length)).equals(content)).toBe(true);
  }
  expect(packs()).toBe(before);
});

it('of an encrypted pool that only its driver reaches, neither the backend nor this host has anything that tells', async () => {
  const [volume = '', snapshot = '', , , pool = ''] = names;
  const script = at('key-program');
  writeFileSync(script, `#!/bin/sh\necho ${key}\n`);
  chmodSync(script, 0o700);
  const content = await fill(pool, 'zstd', ['--set', 'direct-path=off', '--encrypt', '--key-command', script]);
  interface Pool {
    readonly remote: boolean;
    readonly stagedBytes: number;
  }
  const shipped = async (): Promise<Pool> => {
    for (;;) {
      const view = await daemon.json<Pool>('pool', 'show', pool);
      if (view.stagedBytes === 0) return view;
      await sleep(200);
    }
  };
  expect(await shipped()).toMatchObject({ remote: true });
  for (let life = 0; life < 2; life += 1) {
    expect((await read(volume, content.length)).equals(content)).toBe(true);
    expect((await read(`${volume}@${snapshot}`, content.length)).equals(content)).toBe(true);
    // What was read in a life that found no copies is written there behind it.
    const cached = join(daemon.directory, 'cache');
    if (life > 0) await expect.poll(() => readdirSync(cached).length).toBeGreaterThan(0);
    await daemon.kill();
    expect(readdirSync(join(at(pool), 'packs')).length).toBeGreaterThan(0);
    expect(tellingIn(at(pool), content)).toEqual([]);
    // Packs before they are shipped, copies, footers, checkpoints. The journal beside them is this host's own and is not encrypted.
    expect(tellingIn(join(daemon.directory, 'engine', 'pools'), content)).toEqual([]);
    expect(tellingIn(cached, content)).toEqual([]);
    // As on a host that has no copies.
    for (const entry of readdirSync(join(daemon.directory, 'engine', 'pools'), { recursive: true, withFileTypes: true }))
      if (entry.name.endsWith('.kept')) rmSync(join(entry.parentPath, entry.name));
    await daemon.start();
  }
});

it('a volume moves out of an encrypted pool and back in while it is written, and what comes back in cannot be told there', async () => {
  const [volume = '', snapshot = ''] = names;
  await daemon.ok(...creationOf('plain'));
  const content = await fill('vault', 'lz4', ['--encrypt', '--key-file', putKey('key', key)]);
  for (const to of ['plain', 'vault']) {
    const moving = daemon.json('volume', 'move', volume, '--pool', to);
    const more = known(MiB);
    more.copy(content);
    await write(volume, more);
    expect(await moving).toMatchObject({ state: 'done', to, lostPages: 0 });
    expect((await read(volume, content.length)).equals(content)).toBe(true);
    // Taken before.
    expect((await read(`${volume}@${snapshot}`, content.length)).equals(content)).toBe(false);
    await settled();
    if (to === 'plain') expect(tellingIn(at('plain'), content)).toContain('bytes of page 0');
  }
  await daemon.kill();
  expect(tellingIn(at('vault'), content)).toEqual([]);
  await daemon.start();
  expect((await read(volume, content.length)).equals(content)).toBe(true);
  expect(await daemon.json('pool', 'scrub', 'vault')).toMatchObject({ state: 'done', damaged: 0 });
});
