/** A mapper and a composer over a real catalog in a directory of its own, with an engine and a pool that only take notes. */
import { onTestFinished } from 'vitest';

import type { Catalog, Compare, TransactOutcome, Write } from '../../../src/catalog/catalog.js';
import { openLmdbCatalog } from '../../../src/catalog/lmdb.js';
import { Composer } from '../../../src/composer/composer.js';
import { SkerryError } from '../../../src/core/errors.js';
import type { NativeModule, RootCommit } from '../../../src/engine/binding.js';
import { Engine } from '../../../src/engine/engine.js';
import { Ledger } from '../../../src/mapper/ledger.js';
import { KeyedLocks } from '../../../src/mapper/locks.js';
import { Mapper } from '../../../src/mapper/mapper.js';
import { PrivateExports } from '../../../src/mapper/private_exports.js';
import type { PoolUsers } from '../../../src/mapper/pool_verbs.js';
import type { KeptRoot, RootStore } from '../../../src/mapper/root_store.js';
import { Upkeep } from '../../../src/upkeep/upkeep.js';
import { temporaryDirectory } from '../temporary_directory.js';
import { FakeEngine } from './fake_engine.js';

export const rootId = (digit: string): string => digit.repeat(64);

export interface World {
  readonly directory: string;
  readonly steps: string[];
  readonly fake: FakeEngine;
  readonly catalog: Catalog;
  readonly ledger: Ledger;
  readonly locks: KeyedLocks;
  readonly pool: NotedPool;
  readonly mapper: Mapper;
  readonly composer: Composer;
  readonly upkeep: Upkeep;
  readonly logged: string[];
  /** Fails the next transactions, one for each error. */
  readonly transactFailures: Error[];
  /** Resolves when upkeep has done what it can. */
  settle(): Promise<void>;
  /** As after kill -9: only the catalog is left. */
  restart(): Promise<World>;
  /** What came after `count` steps. */
  since(count: number): readonly string[];
  commit(commit: {
    readonly takers: readonly NotedTaker[];
    readonly root: RootCommit['root'];
    readonly token?: number;
  }): Promise<void>;
}

/** Size and lineage are those of the record where the test says nothing of them. */
export type NotedTaker = Pick<Taker, 'id' | 'appliedSequence' | 'fence'> & Partial<Taker>;
type Taker = RootCommit['takers'][number];

export class NotedPool implements RootStore {
  readonly name = 'default';
  readonly roots = new Map<number, KeptRoot>();
  readonly tombstones = new Set<number>();
  readonly failures: Error[] = [];
  readonly #steps: string[];

  constructor(steps: string[]) {
    this.#steps = steps;
  }

  async putRoot(root: KeptRoot): Promise<void> {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.#steps.push(`pool.putRoot ${root.id}`);
    this.roots.set(root.id, root);
  }

  async rootsSettled(): Promise<void> {}

  /** Why it can hold no log. */
  logless: Error | null = null;
  mustTakeLogs(): void {
    if (this.logless !== null) throw this.logless;
  }

  holdLog(id: number): () => void {
    this.#steps.push(`pool.holdLog ${id}`);
    return () => this.#steps.push(`pool.letLogGo ${id}`);
  }
  async forgetLog(id: number): Promise<void> {
    this.#steps.push(`pool.forgetLog ${id}`);
  }

  async putTombstone({ id }: { readonly id: number }): Promise<void> {
    const failure = this.failures.shift();
    if (failure !== undefined) throw failure;
    this.#steps.push(`pool.putTombstone ${id}`);
    this.tombstones.add(id);
  }
}

export async function openWorld(directory = temporaryDirectory()): Promise<World> {
  const steps: string[] = [];
  const logged: string[] = [];
  const transactFailures: Error[] = [];
  const catalog = noted(await openLmdbCatalog({ directory }), steps, transactFailures);
  onTestFinished(() => catalog.close());
  const { ledger, entries } = await Ledger.open(catalog);
  const locks = new KeyedLocks();
  const pool = new NotedPool(steps);
  const fake = new FakeEngine(steps);
  const module: NativeModule = {
    // oxlint-disable-next-line no-constructor-return -- the world's own fake stands in for a new one
    Engine: class extends FakeEngine {
      constructor() {
        super();
        return fake;
      }
    },
    blockId: () => '',
    armFailpoint: () => undefined,
    passFailpoint: () => undefined,
  };
  const log = (level: string, message: string): void => void logged.push(`${level} ${message}`);
  const engine = new Engine(module, {} as never, () => {});
  const privateExports = new PrivateExports('/nowhere/nbd.sock');
  const pools: PoolUsers = {
    defaultName: 'default',
    of(name) {
      if (name !== 'default') throw new SkerryError('not-found', `there is no pool ${name}`);
      return pool;
    },
    async allowFrames(name) {
      steps.push(`pools.allowFrames ${name}`);
    },
    using(name, work) {
      pools.of(name);
      return work();
    },
  };
  const mapper = new Mapper({ catalog, ledger, locks, engine, pools, privateExports, log, now: () => 1000 });
  const upkeep = new Upkeep({
    pools: () => ['default'],
    ledger,
    locks,
    roots: pools,
    removal: mapper.removal,
    log,
    gatherMilliseconds: 0,
  });
  const logs = {
    distrustJournal: async () => {},
    distrustPartialJournal: async () => {},
    start: async () => {},
    shorten: () => {},
    stop: async () => {},
  };
  const composer = new Composer({ ledger, locks, engine, roots: pools, logs, log });
  const domainKey = new Uint8Array(32);
  await composer.start(
    [
      {
        name: 'default',
        directory: '/nowhere',
        checkpoint: '/nowhere/index',
        domain: 1,
        keyId: 1,
        domainKey,
        dataKey: null,
        compression: { codec: 'none', level: 0 },
        remote: null,
      },
    ],
    entries,
  );
  let token = 0;
  return {
    directory,
    steps,
    fake,
    catalog,
    ledger,
    locks,
    pool,
    mapper,
    composer,
    upkeep,
    logged,
    transactFailures,
    async settle() {
      upkeep.poke();
      await upkeep.idle();
    },
    async restart() {
      await catalog.close();
      return openWorld(directory);
    },
    since: (count) => steps.slice(count),
    async commit(commit) {
      token += 1;
      const own = commit.token ?? token;
      const takers = await Promise.all(
        commit.takers.map(async (taker) => {
          const record = (await ledger.get(taker.id))?.record;
          return { sizeBytes: record?.sizeBytes ?? 0, lineage: record?.lineage ?? 0, log: null, ...taker };
        }),
      );
      composer.handle({ pool: 'default', ...commit, takers, token: own });
      while (!steps.some((step) => step.startsWith(`engine.committed ${own} `)))
        await new Promise((resolve) => setTimeout(resolve, 1));
    },
  };
}

export function root(digit: string): RootCommit['root'] {
  return { id: rootId(digit), levels: 1, pack: 1, offset: 512, storedBytes: 4096 };
}

/** Notes transactions by the keys they write, and fails those it is told to. */
function noted(catalog: Catalog, steps: string[], failures: Error[]): Catalog {
  const transact = async (compares: readonly Compare[], writes: readonly Write[]): Promise<TransactOutcome> => {
    const failure = failures.shift();
    if (failure !== undefined) throw failure;
    const outcome = await catalog.transact(compares, writes);
    const written = writes.map(({ key, value }) => `${value === null ? '-' : '+'}${key.replace(/\/0*([0-9a-f]+)$/, '/$1')}`);
    steps.push(`catalog ${outcome.outcome === 'committed' ? written.join(' ') : 'conflict'}`);
    return outcome;
  };
  return new Proxy(catalog, { get: (target, key) => (key === 'transact' ? transact : bound(target, key)) });
}

function bound(target: Catalog, key: string | symbol): unknown {
  const value: unknown = Reflect.get(target, key);
  return typeof value === 'function' ? (value.bind(target) as unknown) : value;
}
