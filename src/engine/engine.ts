/**
 * The addon behind its type: loads it, turns its errors into SkerryErrors, and hands each event to who asked for its kind.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { SkerryError, toSkerryError } from '../core/errors.js';
import type {
  CarryOrder,
  CarryPoint,
  CarryReport,
  ChangedRange,
  CollectReport,
  ScrubReport,
  EngineEvent,
  EngineOptions,
  EngineStats,
  ErrandFailure,
  EstimateStep,
  HandshakeAnswer,
  CompressionSpec,
  LimitSpec,
  ListedPack,
  NativeEngine,
  NativeModule,
  PoolSpec,
  Reached,
  ResourceActivity,
  ResourceSpec,
  SpaceReport,
  SpliceOrder,
  StartReport,
  TlsMaterial,
  TransferProgress,
  TreeRootSpec,
} from './binding.js';
import { passFailpoint } from './failpoints.js';
import type { NativeSums } from './body_sums.js';
import type { HeldResource } from './pool_switch.js';
import type { NativeSurveys } from './surveys.js';

type EventOf<Type extends EngineEvent['type']> = Extract<EngineEvent, { type: Type }>;
type Handlers = { [Type in EngineEvent['type']]?: (event: EventOf<Type>) => void };

/** @throws SkerryError unavailable where the addon was not built or does not fit this Node. */
export function loadNativeModule(): NativeModule & NativeSurveys & NativeSums {
  const path = join(packageRoot(), 'build', 'Release', 'skerry.node');
  try {
    return createRequire(import.meta.url)(path) as NativeModule & NativeSurveys & NativeSums;
  } catch (error) {
    const hint = existsSync(path)
      ? 'it was built for another machine or another Node: build it again with npm run build'
      : 'build it with npm run build';
    const message = error instanceof Error ? error.message : String(error);
    throw new SkerryError('unavailable', `the engine ${path} cannot be loaded (${message}): ${hint}`, { cause: error });
  }
}

/** The nearest directory upwards that has a package.json: the same from src/ and from dist/src/. */
export function packageRoot(): string {
  let directory = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(directory, 'package.json'))) {
    const parent = dirname(directory);
    if (parent === directory)
      throw new SkerryError('unavailable', `there is no package.json above ${fileURLToPath(import.meta.url)}`);
    directory = parent;
  }
  return directory;
}

/** Every method is that of NativeEngine, and fails with SkerryError. */
export class Engine implements NativeEngine {
  readonly #native: NativeEngine;
  readonly #handlers: Handlers = {};
  readonly #onFailure: (event: EngineEvent['type'], error: unknown) => void;

  /** `onFailure` hears of a handler that threw: a bug, which must not keep other events from their handlers. */
  constructor(module: NativeModule, options: EngineOptions, onFailure: (event: EngineEvent['type'], error: unknown) => void) {
    this.#onFailure = onFailure;
    this.#native = attempt(() => new module.Engine(options, (events) => this.#dispatch(events)));
  }

  /** One handler for each type, set before start(): events without one are dropped. */
  on<Type extends EngineEvent['type']>(type: Type, handler: (event: EventOf<Type>) => void): void {
    // Handlers[Type] is exactly this function's type, which the compiler cannot see for an open Type.
    (this.#handlers as Record<string, unknown>)[type] = handler;
  }

  #dispatch(events: readonly EngineEvent[]): void {
    for (const event of events) {
      try {
        (this.#handlers[event.type] as ((event: EngineEvent) => void) | undefined)?.(event);
      } catch (error) {
        this.#onFailure(event.type, error);
      }
    }
  }

  start(pools: readonly PoolSpec[], resources: readonly ResourceSpec[]): Promise<StartReport> {
    return attemptAsync(() => this.#native.start(pools, resources));
  }

  addPool(pool: PoolSpec): Promise<StartReport> {
    return attemptAsync(() => this.#native.addPool(pool));
  }

  removePool(name: string): Promise<void> {
    return attemptAsync(() => this.#native.removePool(name));
  }

  completeFetch(errand: number, bytes: Uint8Array | null, failure: ErrandFailure | null): void {
    attempt(() => this.#native.completeFetch(errand, bytes, failure));
  }

  completeChange(errand: number, failure: ErrandFailure | null): void {
    attempt(() => this.#native.completeChange(errand, failure));
  }

  completeList(errand: number, packs: readonly ListedPack[] | null, failure: ErrandFailure | null): void {
    attempt(() => this.#native.completeList(errand, packs, failure));
  }

  listenUnix(path: string): Promise<string> {
    return attemptAsync(() => this.#native.listenUnix(path));
  }

  listenTcp(host: string, port: number): Promise<string> {
    return attemptAsync(() => this.#native.listenTcp(host, port));
  }

  useTls(material: TlsMaterial): void {
    attempt(() => this.#native.useTls(material));
  }

  answer(connection: number, answer: HandshakeAnswer): void {
    attempt(() => this.#native.answer(connection, answer));
  }

  add(resource: ResourceSpec): void {
    attempt(() => this.#native.add(resource));
  }

  async snapshot(volume: number, snapshot: number): Promise<{ sequence: number; sizeBytes: number }> {
    const taken = await attemptAsync(() => this.#native.snapshot(volume, snapshot));
    passFailpoint('snapshot-barrier-durable');
    return taken;
  }

  drop(resource: number): Promise<void> {
    return attemptAsync(() => this.#native.drop(resource));
  }

  resize(volume: number, sizeBytes: number): Promise<void> {
    return attemptAsync(() => this.#native.resize(volume, sizeBytes));
  }

  async rollback(volume: number, snapshot: number): Promise<void> {
    await attemptAsync(() => this.#native.rollback(volume, snapshot));
    passFailpoint('rollback-recorded');
  }

  switchPool(what: 'hold', resource: number, pool: string): Promise<HeldResource>;
  switchPool(what: 'expect', resource: number, root: TreeRootSpec): Promise<void>;
  switchPool(what: 'switch', resource: number, logFence?: number): Promise<number>;
  switchPool(what: 'release', resource: number): Promise<void>;
  switchPool(...asked: readonly unknown[]): Promise<unknown> {
    const ask = this.#native.switchPool.bind(this.#native) as (...given: readonly unknown[]) => Promise<unknown>;
    return attemptAsync(() => ask(...asked));
  }

  volumeLog(what: 'whole' | 'journal'): Promise<Uint8Array>;
  volumeLog(what: 'restore', volume: number, entries: Uint8Array, until: number): Promise<number>;
  volumeLog(what: 'sequence', volume: number): Promise<number>;
  volumeLog(what: 'begin', volume: number, fence: number, sequence: number): Promise<void>;
  volumeLog(what: 'late', volume: number, why: string): Promise<void>;
  volumeLog(...asked: readonly unknown[]): Promise<unknown> {
    const ask = this.#native.volumeLog.bind(this.#native) as (...given: readonly unknown[]) => Promise<unknown>;
    return attemptAsync(() => ask(...asked));
  }

  sizeBytes(resource: number): number | null {
    return attempt(() => this.#native.sizeBytes(resource));
  }

  limit(volume: number, limit: LimitSpec): void {
    attempt(() => this.#native.limit(volume, limit));
  }

  compress(volume: number, compression: CompressionSpec | null): void {
    attempt(() => this.#native.compress(volume, compression));
  }

  compressPool(pool: string, compression: CompressionSpec): void {
    attempt(() => this.#native.compressPool(pool, compression));
  }

  changes(
    from: number,
    to: number,
    offset: number,
    rangesMax: number,
  ): Promise<{ readonly ranges: readonly ChangedRange[]; readonly next: number }> {
    return attemptAsync(() => this.#native.changes(from, to, offset, rangesMax));
  }

  read(resource: number, offset: number, length: number): Promise<Uint8Array> {
    return attemptAsync(() => this.#native.read(resource, offset, length));
  }

  write(volume: number, offset: number, data: Uint8Array | number): Promise<void> {
    return attemptAsync(() => this.#native.write(volume, offset, data));
  }

  flush(volume: number): Promise<void> {
    return attemptAsync(() => this.#native.flush(volume));
  }

  destage(resource: number): Promise<void> {
    return attemptAsync(() => this.#native.destage(resource));
  }

  committed(token: number, ok: boolean): void {
    attempt(() => this.#native.committed(token, ok));
  }

  attached(resource: number): number {
    return attempt(() => this.#native.attached(resource));
  }

  importFile(resource: number, path: string): number {
    return attempt(() => this.#native.importFile(resource, path));
  }

  exportFile(resource: number, path: string): number {
    return attempt(() => this.#native.exportFile(resource, path));
  }

  transferDone(transfer: number): Promise<TransferProgress> {
    return attemptAsync(() => this.#native.transferDone(transfer));
  }

  transferProgress(transfer: number): TransferProgress {
    return attempt(() => this.#native.transferProgress(transfer));
  }

  transferCancel(transfer: number): void {
    attempt(() => this.#native.transferCancel(transfer));
  }

  stats(): EngineStats {
    return attempt(() => this.#native.stats());
  }

  activities(): readonly ResourceActivity[] {
    return attempt(() => this.#native.activities());
  }

  failure(): string {
    return attempt(() => this.#native.failure());
  }

  allocatedBytes(resource: number): Promise<number> {
    return attemptAsync(() => this.#native.allocatedBytes(resource));
  }

  space(what: 'measure', pool: string): Promise<SpaceReport>;
  space(
    what: 'groups',
    pool: string,
    ids: readonly number[],
    groups: readonly number[],
    count: number,
  ): Promise<readonly Reached[]>;
  space(
    what: 'shared',
    pool: string,
    resource: number,
    count: number,
  ): Promise<readonly { readonly id: number; readonly blocks: number }[]>;
  space(...asked: readonly unknown[]): Promise<unknown> {
    // One of the three above, which the compiler cannot tell of arguments that are handed on.
    const ask = this.#native.space.bind(this.#native) as (...given: readonly unknown[]) => Promise<unknown>;
    return attemptAsync(() => ask(...asked));
  }

  collect(
    what: 'run',
    pool: string,
    roots: readonly TreeRootSpec[],
    how: { readonly dryRun: boolean; readonly liveMax: number; readonly hurry: boolean },
  ): Promise<CollectReport>;
  collect(what: 'trims', pool: string, waitSeconds: number): Promise<number>;
  collect(what: 'progress', pool: string): Promise<CollectReport>;
  collect(...asked: readonly unknown[]): Promise<unknown> {
    const ask = this.#native.collect.bind(this.#native) as (...given: readonly unknown[]) => Promise<unknown>;
    return attemptAsync(() => ask(...asked));
  }

  scrub(what: 'scrub', pool: string, roots: readonly TreeRootSpec[]): Promise<ScrubReport>;
  scrub(what: 'scrubbed', pool: string): Promise<ScrubReport>;
  scrub(...asked: readonly unknown[]): Promise<ScrubReport> {
    const ask = this.#native.scrub.bind(this.#native) as (...given: readonly unknown[]) => Promise<ScrubReport>;
    return attemptAsync(() => ask(...asked));
  }

  carry(what: 'carry', id: number, order: CarryOrder): Promise<CarryReport>;
  carry(what: 'splice', id: number, order: SpliceOrder): Promise<CarryReport>;
  carry(what: 'carried', id: number): Promise<CarryReport>;
  carry(what: 'keep', id: number): Promise<CarryPoint | null>;
  carry(what: 'release', id: number): Promise<void>;
  carry(...asked: readonly unknown[]): Promise<unknown> {
    const ask = this.#native.carry.bind(this.#native) as (...given: readonly unknown[]) => Promise<unknown>;
    return attemptAsync(() => ask(...asked));
  }

  estimate(what: 'begin', pool: string): Promise<number>;
  estimate(what: 'read', id: number, path: string, offset: number): Promise<EstimateStep>;
  estimate(what: 'end', id: number): Promise<void>;
  estimate(...asked: readonly unknown[]): Promise<unknown> {
    const ask = this.#native.estimate.bind(this.#native) as (...given: readonly unknown[]) => Promise<unknown>;
    return attemptAsync(() => ask(...asked));
  }

  stop(drain: boolean): Promise<void> {
    return attemptAsync(() => this.#native.stop(drain));
  }
}

/** The codes of native errors are those of the one table, so they keep theirs. */
function attempt<T>(call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw toSkerryError(error);
  }
}

async function attemptAsync<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw toSkerryError(error);
  }
}
