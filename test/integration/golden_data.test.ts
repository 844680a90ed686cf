/**
 * A data directory of each format version, as the first build of that version left it when it was killed: every later one opens it and finds
 * all that is in it. SKERRY_WRITE_GOLDEN=1 makes the archive of a version that has none yet; what is there is never made anew.
 */
import { randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';

import { encodeHome } from '../../src/daemon/home.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const golden = fileURLToPath(new URL('golden', import.meta.url));
const versions = [1];
const config = { segmentBytes: '2M', ringBytes: '4M', journalBytesMax: '32M', gcSeconds: 0 };

/** Of a resource: what must not change between versions. */
const told = ['id', 'name', 'sizeBytes', 'parent', 'labels', 'description', 'cache', 'limit', 'compression', 'createdAt'];

interface Content {
  readonly volumes: readonly unknown[];
  readonly snapshots: readonly unknown[];
  readonly images: readonly unknown[];
  /** SHA-256 of what an export reads as. */
  readonly sums: Readonly<Record<string, string>>;
}

async function contentOf(daemon: DaemonProcess): Promise<Content> {
  const kept = (view: Record<string, unknown>) => Object.fromEntries(told.map((key) => [key, view[key]]));
  const listed = async (what: string) => (await daemon.json<Record<string, unknown>[]>(what, 'list')).map(kept);
  const [volumes, snapshots, images] = [await listed('volume'), await listed('snapshot'), await listed('image')];
  const sums: Record<string, string> = {};
  for (const name of [...volumes, ...snapshots].map((view) => String(view['name']))) {
    const sum = await must('bash', ['-o', 'pipefail', '-c', `nbdcopy '${await daemon.uri(name)}' - | sha256sum`]);
    sums[name] = sum.split(' ')[0] ?? '';
  }
  return { volumes, snapshots, images, sums };
}

const write = async (daemon: DaemonProcess, name: string, ...commands: readonly string[]) =>
  must('qemu-io', ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), await daemon.uri(name)]);

/** Something of everything that rests in a data directory: maps and packs, a journal with each kind of record, what is said of resources. */
async function fill(daemon: DaemonProcess, scratch: string): Promise<void> {
  await daemon.ok('volume', 'create', 'disk', '--size', '64M', '--description', 'the first', '--label', 'kept=yes');
  await write(daemon, 'disk', 'write -P 1 0 1M', 'write -P 2 1M 300k', 'write -P 3 5000 700', 'flush');
  await daemon.ok('snapshot', 'create', 'disk@one');
  await write(daemon, 'disk', 'write -P 4 512k 200k', 'discard 64k 128k', 'write -z 900k 64k', 'flush');
  await daemon.ok('snapshot', 'create', 'disk@two');
  await daemon.ok('clone', 'disk@one', 'child');
  await write(daemon, 'child', 'write -P 5 2M 8k', 'flush');
  await daemon.ok('volume', 'create', 'packed', '--size', '8M', '--compression', 'zstd', '--cache', 'writethrough');
  await write(daemon, 'packed', 'write -P 6 0 2M', 'flush');
  await daemon.ok('volume', 'limit', 'packed', '--iops', '5000');
  const raw = join(scratch, 'image.raw');
  await must('bash', ['-c', `seq 200000 > ${raw} && truncate --size=2M ${raw}`]);
  await daemon.ok('image', 'import', raw, 'image');
  await daemon.ok('clone', 'image', 'from-image');
  await daemon.ok('volume', 'create', 'small', '--size', '1M');
  await write(daemon, 'small', 'write -P 7 0 1M', 'flush');
  await daemon.ok('snapshot', 'create', 'small@back');
  // An orderly stop has all of it destaged; what follows is in the journal alone when the daemon is killed.
  await daemon.kill('SIGTERM');
  await daemon.start();
  await daemon.ok('volume', 'resize', 'disk', '96M');
  await write(daemon, 'disk', 'write -P 8 70M 130k', 'write -P 9 3333 4444', 'discard 1M 64k', 'write -z 7000 9000', 'flush');
  await daemon.ok('volume', 'rollback', 'small@back');
  await write(daemon, 'small', 'write -P 10 512k 4k', 'flush');
  await daemon.ok('snapshot', 'create', 'disk@three');
  await daemon.ok('volume', 'create', 'gone', '--size', '1M');
  await daemon.ok('volume', 'delete', 'gone');
}

beforeAll(async () => {
  if (process.env['SKERRY_WRITE_GOLDEN'] === undefined) return;
  for (const version of versions) {
    const archive = join(golden, `data_v${version}.tar.xz`);
    if (existsSync(archive)) continue;
    mkdirSync(golden, { recursive: true });
    const scratch = mkdtempSync(join(tmpdir(), 'skerry-golden-'));
    const daemon = new DaemonProcess({ config });
    await daemon.start();
    await fill(daemon, scratch);
    const content = await contentOf(daemon);
    await daemon.kill();
    // As after a loss of power: nothing of it is in a ring.
    daemon.wipeRing();
    await must('tar', ['-C', daemon.directory, '--sparse', '--exclude=*.sock', '-cJf', archive, '.']);
    writeFileSync(join(golden, `data_v${version}.json`), `${JSON.stringify(content, null, 2)}\n`);
    rmSync(scratch, { recursive: true });
    await daemon.destroy();
  }
});

describe.each(versions)('a data directory of version %i', (version) => {
  async function unpacked(): Promise<DaemonProcess> {
    const daemon = new DaemonProcess({ config });
    onTestFinished(() => daemon.destroy());
    await must('tar', ['-C', daemon.directory, '-xJf', join(golden, `data_v${version}.tar.xz`)]);
    // Or two who unpack it on one machine would want one ring.
    writeFileSync(join(daemon.directory, 'home'), encodeHome({ version: 1, path: daemon.directory, ring: randomUUID() }));
    return daemon;
  }
  const expected = () => JSON.parse(readFileSync(join(golden, `data_v${version}.json`), 'utf8')) as Content;

  it('is opened, has all that was in it, and goes on', async () => {
    const daemon = await unpacked();
    await daemon.start();
    expect(await contentOf(daemon)).toEqual(expected());
    expect(await daemon.json('status')).toMatchObject({ healthy: true, problems: [] });
    await write(daemon, 'child', 'write -P 11 4M 64k', 'flush', 'read -P 11 4M 64k', 'read -P 5 2M 8k');
    await daemon.kill();
    await daemon.start();
    await write(daemon, 'child', 'read -P 11 4M 64k', 'read -P 5 2M 8k');
    await daemon.kill('SIGTERM');
    await daemon.ok('pool', 'check', '--deep');
  });

  it('is recovered without its catalog', async () => {
    const daemon = await unpacked();
    rmSync(join(daemon.directory, 'catalog'), { recursive: true });
    await daemon.ok('pool', 'recover');
    await daemon.start();
    expect((await contentOf(daemon)).sums).toEqual(expected().sums);
  });

  it('is refused by a version that knows nothing newer, where the journal says that it is newer', async () => {
    const daemon = await unpacked();
    const identity = join(daemon.directory, 'engine', 'journal', 'identity');
    const bytes = readFileSync(identity);
    bytes.writeUInt32LE(99, 4);
    writeFileSync(identity, bytes);
    await expect(daemon.start()).rejects.toThrow(/written by a newer version of Skerry \(journal format 99\)/);
    expect(readFileSync(identity).equals(bytes)).toBe(true);
  });
});
