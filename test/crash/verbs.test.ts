/**
 * The daemon is killed while verbs run, before upkeep has put the root chunks that they left due. What was answered is there
 * after the restart, what was deleted is not, and the pool comes to know of all of it.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';

import type { ResourceView } from '../../src/api/shapes.js';
import { type Client, connect } from '../../src/control/client.js';
import { SkerryError } from '../../src/core/errors.js';
import { must } from '../harness/command.ts';
import { DaemonProcess } from '../harness/daemon_process.ts';

const rounds = 8;
const workers = 6;
const GiB = 1024 ** 3;
/** Written before the first verb and never again, so every clone that is ever made begins with it. */
const pattern = '-P 0x5a 64K 1M';

type Kind = 'volume' | 'snapshot';
type Named = `${Kind}/${string}`;

const written: readonly Named[] = ['volume/written', 'snapshot/written@empty', 'snapshot/written@first'];

/** What the daemon has answered: the id of what must be there, or null for what must not. */
class Promised {
  readonly names = new Map<Named, number | null>();
  /** Whose verb was under way when the daemon died: either way is right. */
  readonly open = new Set<Named>();
  readonly deleted = new Set<number>();
  /** Ids that were ever seen: none comes twice. */
  readonly ids = new Set<number>();

  isNew(id: number): void {
    expect(this.ids.has(id), `id ${id} was given twice`).toBe(false);
    this.ids.add(id);
  }
}

let daemon: DaemonProcess | null = null;
let client: Client | null = null;

afterEach(async () => {
  client?.close();
  await daemon?.destroy();
  client = null;
  daemon = null;
});

/** A small generator, so that a failing run can be repeated. */
function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}

/** Does verbs on names of its own until the daemon is gone. */
async function work(api: Client, promised: Promised, worker: number, roll: (sides: number) => number): Promise<void> {
  const mine = (kind: Kind): string[] =>
    [...promised.names]
      .filter(([name, id]) => id !== null && name.startsWith(`${kind}/w${worker}-`) && !promised.open.has(name))
      .map(([name]) => name.slice(kind.length + 1));
  const attempt = async (kind: Kind, name: string, verb: () => Promise<ResourceView | null>): Promise<void> => {
    const key: Named = `${kind}/${name}`;
    promised.open.add(key);
    const before = promised.names.get(key) ?? null;
    const view = await verb();
    promised.names.set(key, view?.id ?? null);
    if (view !== null) promised.isNew(view.id);
    if (view === null && before !== null) promised.deleted.add(before);
    promised.open.delete(key);
  };
  for (let count = 0; ; count += 1) {
    const fresh = `w${worker}-${roll(2 ** 30)}-${count}`;
    if (count % 4 === 3) {
      const source = roll(2) === 0 ? 'written' : 'written@first';
      await attempt('volume', `d${fresh}`, () => api.clone({ source, name: `d${fresh}` }));
    }
    const volumes = mine('volume');
    const snapshots = mine('snapshot');
    const volume = volumes[roll(Math.max(1, volumes.length))];
    const snapshot = snapshots[roll(Math.max(1, snapshots.length))];
    const what = roll(10);
    if (volume === undefined || what < 3) {
      await attempt('volume', fresh, () => api.createVolume({ name: fresh, sizeBytes: GiB * (1 + roll(10_000)) }));
    } else if (what < 5) {
      await attempt('snapshot', `${volume}@${fresh}`, () => api.createSnapshot({ name: `${volume}@${fresh}` }));
    } else if (what < 7) {
      await attempt('volume', fresh, () => api.clone({ source: what === 5 ? volume : (snapshot ?? volume), name: fresh }));
    } else if (snapshot !== undefined && what === 7) {
      await attempt('snapshot', snapshot, async () => {
        await api.deleteSnapshot(snapshot);
        return null;
      });
    } else if (!snapshots.some((name) => name.startsWith(`${volume}@`))) {
      await attempt('volume', volume, async () => {
        await api.deleteVolume(volume);
        return null;
      });
    }
  }
}

/** Ids that the pool tells of: under `root`, and under `tomb`. */
function inPool(directory: string, what: 'root' | 'tomb'): Set<number> {
  const path = join(directory, 'pool', what);
  if (!existsSync(path)) return new Set();
  const ids = readdirSync(path).filter((name) => what === 'tomb' || readdirSync(join(path, name)).length > 0);
  return new Set(ids.map((id) => Number.parseInt(id, 16)));
}

/** Fails where a pattern that is read is not there. */
async function qemuIo(uri: string, ...commands: readonly string[]): Promise<void> {
  const output = await must('qemu-io', ['-f', 'raw', ...commands.flatMap((command) => ['-c', command]), uri]);
  expect(output, uri).not.toMatch(/verification failed/);
}

async function look(api: Client): Promise<Map<Named, ResourceView>> {
  const all = [...(await api.volumes()), ...(await api.snapshots())];
  return new Map(all.map((view) => [`${view.kind}/${view.name}` as Named, view]));
}

it('every answered verb holds after kill -9, and the pool hears of what it had not', async () => {
  daemon = new DaemonProcess();
  const promised = new Promised();
  const roll = dice(20_261_121);
  let missedByPool = 0;
  await daemon.start();
  await daemon.ok('volume', 'create', 'written', '--size', '10T');
  await daemon.ok('snapshot', 'create', 'written@empty');
  await qemuIo(await daemon.uri('written'), `write ${pattern}`, 'flush');
  await daemon.ok('snapshot', 'create', 'written@first');
  await daemon.kill();
  for (let round = 0; round < rounds; round += 1) {
    await daemon.start();
    const api = connect({ dataDirectory: daemon.directory });
    client = api;
    const found = await look(api);
    for (const name of written) expect(found.delete(name), name).toBe(true);
    for (const [name, id] of promised.names) {
      if (!promised.open.has(name)) expect({ name, id: found.get(name)?.id ?? null }).toEqual({ name, id });
    }
    for (const name of found.keys()) expect(promised.names.has(name) || promised.open.has(name), name).toBe(true);
    for (const name of promised.open) {
      const id = found.get(name)?.id ?? null;
      if (id !== null && promised.names.get(name) !== id) promised.isNew(id);
      promised.names.set(name, id);
    }
    promised.open.clear();

    const running = Array.from({ length: workers }, (_, worker) =>
      work(api, promised, worker, roll).catch((error: unknown) => {
        // Only the daemon's death ends a worker.
        if (!(error instanceof SkerryError && error.code === 'unavailable')) throw error;
      }),
    );
    await sleep(40 + roll(400));
    await daemon.kill();
    await Promise.all(running);
    api.close();
    if (round % 2 === 1) daemon.wipeRing();
    const roots = inPool(daemon.directory, 'root');
    missedByPool += [...promised.names.values()].filter((id) => id !== null && !roots.has(id)).length;
  }
  // Else the kills came too late to show anything.
  expect(missedByPool).toBeGreaterThan(0);

  await daemon.start();
  client = connect({ dataDirectory: daemon.directory });
  const clones = [...(await look(client)).values()].filter(
    ({ kind, parent }) => kind === 'volume' && (parent === 'written' || parent === 'written@first'),
  );
  expect(clones.length).toBeGreaterThan(0);
  const uri = await daemon.uri('written');
  for (const { name } of clones) await qemuIo(uri.replace('written', name), `read ${pattern}`);
  for (;;) {
    const found = [...(await look(client)).values()];
    const roots = inPool(daemon.directory, 'root');
    const tombs = inPool(daemon.directory, 'tomb');
    const settled =
      found.every(({ id, pending }) => !pending && roots.has(id)) && [...promised.deleted].every((id) => tombs.has(id));
    if (settled) break;
    await sleep(100);
  }
});
