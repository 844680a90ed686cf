/**
 * A daemon, its volumes under random requests (fsx.py), and the verbs that go on beside them. What was asked for when the daemon died
 * may have happened or not: the next start is asked which, and then everything must be what that makes it.
 */
import { rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

import { type Client, connect } from '../../src/control/client.js';
import { SkerryError } from '../../src/core/errors.js';
import { DaemonProcess } from './daemon_process.ts';
import { Fsx } from './fsx.ts';
import { smallSettings } from './small_settings.ts';

const page = 4096;
const MiB = 1 << 20;
const size_bytes_min = 2 * MiB;
const size_bytes_max = 12 * MiB;
const volumes_max = 4;
const snapshots_max = 3;

const config = { ...smallSettings, gcSeconds: 0 };

export class FsxWorld {
  readonly daemon: DaemonProcess;
  readonly fsx: Fsx;
  readonly #roll: (sides: number) => number;
  /** Each with the names of its snapshots. */
  readonly #volumes = new Map<string, Set<string>>();
  /** What nobody knows the outcome of: looked up after the next start. */
  #open: (() => Promise<void>)[] = [];
  #api: Client | null = null;
  #names = 0;
  #detached = 0;
  /** How often each verb was answered. */
  readonly done: Record<string, number> = {};
  requests = 0;

  constructor(seed: number, options: ConstructorParameters<typeof DaemonProcess>[0] = {}) {
    this.daemon = new DaemonProcess({ ...options, config: { ...config, ...options.config } });
    this.fsx = new Fsx(seed);
    this.#roll = dice(seed);
  }

  get api(): Client {
    if (this.#api === null) throw new Error('the daemon was not started');
    return this.#api;
  }

  get roll(): (sides: number) => number {
    return this.#roll;
  }

  get volumes(): readonly string[] {
    return [...this.#volumes.keys()];
  }

  snapshotsOf(volume: string): readonly string[] {
    return [...(this.#volumes.get(volume) ?? [])];
  }

  /** The first start: two volumes, one on a pool that is reached through its driver alone. */
  async begin(): Promise<void> {
    await this.start();
    const settings = { directory: `${this.daemon.directory}-far`, 'direct-path': 'off' };
    await this.api.createPool({ name: 'far', driver: 'local', settings });
    await this.create({ pool: 'default', compression: 'none' });
    await this.create({ pool: 'far', compression: 'lz4' });
  }

  async start(environment: Readonly<Record<string, string>> = {}): Promise<void> {
    this.daemon.environment = { ...this.daemon.environment, ...environment };
    await this.daemon.start();
    this.#api = connect({ dataDirectory: this.daemon.directory });
  }

  async create({ pool, compression }: { readonly pool: string; readonly compression: 'none' | 'lz4' }): Promise<void> {
    const name = this.#fresh('v');
    const sizeBytes = this.#size();
    const cache = this.#roll(4) === 0 ? 'writethrough' : 'writeback';
    await this.#verb('create', {
      act: () => this.api.createVolume({ name, sizeBytes, pool, cache, compression }),
      look: async () => (await this.api.volumes()).some((volume) => volume.name === name),
      after: async (happened) => {
        if (!happened) return;
        await this.fsx.ask('volume', name, await this.#uri(name), sizeBytes);
        this.#volumes.set(name, new Set());
      },
    });
  }

  /** A verb was not answered: the daemon is gone, and only a start tells what became of it. */
  get uncertain(): boolean {
    return this.#open.length > 0;
  }

  /** Requests begin on all volumes, or these. False where the daemon was gone. */
  async load(names = this.volumes): Promise<boolean> {
    return (await this.fsx.ask('run', ...names)) !== null;
  }

  /** Waits for all answers and closes the connections. */
  async settle(names = this.volumes): Promise<void> {
    this.requests += await this.fsx.count('settle', ...names);
  }

  /** Once the daemon is gone: every connection has noticed. */
  async died(): Promise<void> {
    this.#api?.close();
    this.requests += await this.fsx.count('dead');
  }

  /** After a start: the outcomes that are open are looked up, and all volumes must be what they must be. `flushed`: power was lost. */
  async recovered({ flushed = false } = {}): Promise<void> {
    const open = this.#open;
    this.#open = [];
    for (const look of open) await look();
    for (const name of this.volumes) await this.#mustBe(flushed ? 'check-flushed' : 'check', name);
  }

  async check(): Promise<void> {
    for (const name of this.volumes) await this.#mustBe('check', name);
  }

  async checkSnapshots(): Promise<void> {
    for (const name of this.#allSnapshots()) await this.#mustBe('same', await this.#uri(name), name);
  }

  /** A verb that goes beside requests to the same volume. */
  async verbUnderLoad(): Promise<void> {
    const names = this.volumes;
    const name = names[this.#roll(names.length)] ?? '';
    const snapshots = this.#allSnapshots();
    const snapshot = snapshots[this.#roll(Math.max(1, snapshots.length))];
    const what = this.#roll(12);
    if (what < 5) await this.snapshot(name);
    else if (what < 7) await this.clone(snapshot ?? name);
    else if (what === 7) await this.clone(name);
    else if (what === 8 && snapshot !== undefined) await this.deleteSnapshot(snapshot);
    else if (what < 11) await this.collect(what === 10 ? 'far' : 'default');
    else await sleep(this.#roll(100));
  }

  /** A verb on a volume without connections; others may have some. */
  async verbDetached(): Promise<void> {
    const names = this.volumes;
    const name = names[this.#roll(names.length)] ?? '';
    const snapshots = this.snapshotsOf(name);
    const snapshot = snapshots[this.#roll(Math.max(1, snapshots.length))];
    this.#detached += 1;
    const what = this.#detached % 3;
    if (what === 1) await this.resize(name);
    else if (what === 2 && snapshot !== undefined) await this.rollback(name, snapshot);
    else if (names.length > 2) await this.deleteVolume(name);
    else await this.create({ pool: this.#roll(2) === 0 ? 'default' : 'far', compression: this.#roll(2) === 0 ? 'none' : 'lz4' });
  }

  async snapshot(volume: string): Promise<void> {
    const mine = this.#volumes.get(volume);
    if (mine === undefined) return;
    if (mine.size >= snapshots_max) return this.deleteSnapshot([...mine][this.#roll(mine.size)] ?? '');
    const name = `${volume}@${this.#fresh('s')}`;
    await this.fsx.ask('moment', name, volume);
    await this.#verb('snapshot', {
      act: () => this.api.createSnapshot({ name }),
      look: () => this.#isSnapshot(name),
      after: async (happened) => {
        await this.fsx.ask(happened ? 'fixed' : 'forget', name);
        if (happened) mine.add(name);
      },
    });
  }

  /** `source`: a snapshot, or a volume as it is while requests run. */
  async clone(source: string): Promise<void> {
    if (this.#volumes.size >= volumes_max) return;
    const name = this.#fresh('c');
    const ofSnapshot = source.includes('@');
    const moment = ofSnapshot ? source : `of-${name}`;
    if (!ofSnapshot) await this.fsx.ask('moment', moment, source);
    await this.#verb('clone', {
      act: () => this.api.clone({ source, name }),
      look: async () => (await this.api.volumes()).some((volume) => volume.name === name),
      after: async (happened) => {
        if (happened && !ofSnapshot) await this.fsx.ask('fixed', moment);
        if (happened) await this.#adopt(name, moment);
        else if (!ofSnapshot) await this.fsx.ask('forget', moment);
      },
    });
  }

  async deleteSnapshot(name: string): Promise<void> {
    await this.#verb('delete snapshot', {
      act: () => this.api.deleteSnapshot(name),
      look: async () => !(await this.#isSnapshot(name)),
      after: async (happened) => {
        if (!happened) return;
        this.#volumes.get(name.split('@')[0] ?? '')?.delete(name);
        await this.fsx.ask('forget', name);
      },
    });
  }

  async deleteVolume(volume: string): Promise<void> {
    for (const name of this.#volumes.get(volume) ?? []) await this.deleteSnapshot(name);
    if (this.uncertain) return;
    await this.#verb('delete volume', {
      act: () => this.api.deleteVolume(volume),
      look: async () => !(await this.api.volumes()).some(({ name }) => name === volume),
      after: async (happened) => {
        if (!happened) return;
        this.#volumes.delete(volume);
        await this.fsx.ask('drop', volume);
      },
    });
  }

  async resize(volume: string): Promise<void> {
    const sizeBytes = this.#size();
    await this.#verb('resize', {
      act: () => this.api.resizeVolume(volume, { sizeBytes, shrink: true }),
      look: async () => (await this.api.volume(volume)).sizeBytes === sizeBytes,
      after: async (happened) => {
        if (happened) await this.fsx.ask('resize', volume, sizeBytes);
      },
    });
  }

  async rollback(volume: string, snapshot: string): Promise<void> {
    let asked = false;
    await this.#verb('rollback', {
      act: async () => {
        // Of the requests that were under way when it was taken, those that are in it are known from here on.
        const known = await this.fsx.ask('same', await this.#uri(snapshot), snapshot);
        if (known === null) throw new SkerryError('unavailable', 'the daemon is gone');
        asked = true;
        await this.api.rollback(snapshot);
      },
      look: async () => asked && (await this.fsx.ask('check-either', volume, snapshot)) === 'rolled',
      after: async (happened) => {
        if (happened) await this.fsx.ask('rollback', volume, snapshot);
      },
    });
  }

  async collect(pool: 'default' | 'far'): Promise<void> {
    await this.#verb('gc', {
      act: async () => {
        await this.api.collectPool(pool);
        await this.api.collection(pool, 5);
      },
      look: async () => false,
      after: async () => {},
    });
  }

  async destroy(): Promise<void> {
    this.#api?.close();
    this.fsx.close();
    await this.daemon.destroy();
    rmSync(`${this.daemon.directory}-far`, { recursive: true, force: true });
  }

  async #verb(
    name: string,
    verb: {
      readonly act: () => Promise<unknown>;
      readonly look: () => Promise<boolean>;
      readonly after: (happened: boolean) => Promise<void>;
    },
  ): Promise<void> {
    let answered = false;
    while (!answered) {
      try {
        await verb.act();
        answered = true;
        await verb.after(true);
        this.done[name] = (this.done[name] ?? 0) + 1;
      } catch (error) {
        if (!(error instanceof SkerryError)) throw error;
        if (error.code === 'unavailable') {
          this.#open.push(async () => verb.after(answered || (await verb.look())));
          return;
        }
        // A connection that was closed a moment ago may still count, and another run may be giving space back.
        if (answered || (error.code !== 'conflict' && error.code !== 'try-again')) throw error;
        await sleep(20);
      }
    }
  }

  /** A clone comes under requests once its content was compared with the moment it is of. */
  async #adopt(name: string, moment: string): Promise<void> {
    const compared = await this.fsx.ask('volume', name, await this.#uri(name), moment);
    if (compared === null) throw new SkerryError('unavailable', `the daemon is gone: ${name} could not be compared`);
    this.#volumes.set(name, new Set());
    if (!moment.includes('@')) await this.fsx.ask('forget', moment);
  }

  async #mustBe(...words: readonly string[]): Promise<void> {
    if ((await this.fsx.ask(...words)) === null)
      throw new Error(`the daemon is gone at "${words.join(' ')}":\n${this.daemon.log}`);
  }

  async #isSnapshot(name: string): Promise<boolean> {
    return (await this.api.snapshots()).some((snapshot) => snapshot.name === name);
  }

  #allSnapshots(): readonly string[] {
    return [...this.#volumes.values()].flatMap((names) => [...names]);
  }

  async #uri(name: string): Promise<string> {
    return (await this.api.volumeUri(name)).uri;
  }

  #fresh(letter: string): string {
    this.#names += 1;
    return `${letter}${this.#names}`;
  }

  #size(): number {
    return size_bytes_min + page * this.#roll((size_bytes_max - size_bytes_min) / page);
  }
}

/** A small generator, so that a failing run can be repeated. */
export function dice(seed: number): (sides: number) => number {
  let state = seed;
  return (sides) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * sides);
  };
}
