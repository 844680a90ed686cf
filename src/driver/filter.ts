/** A filter is a driver around a driver that does one thing more. What it has to say is one function around each call. */
import type { ChunkKey, ChunkStat, Driver } from './driver.js';

export type Verb = 'put' | 'get' | 'stat' | 'remove' | 'list';

export interface Operation {
  readonly verb: Verb;
  /** For list, the prefix. */
  readonly key: string;
  /** What put writes. */
  readonly data?: Uint8Array;
  /** What get reads into. */
  readonly into?: Uint8Array;
}

export interface Interceptor {
  /** Around put, get, stat and remove. `run` may be called more than once, or not at all. */
  call<T>(operation: Operation, run: () => Promise<T>): Promise<T>;
  /** Around list. `start` begins a listing of the driver below. */
  list(operation: Operation, start: () => AsyncIterable<ChunkStat>): AsyncIterable<ChunkStat>;
  /** Around close, called once for each call. */
  close?(run: () => Promise<void>): Promise<void>;
}

export function intercept(driver: Driver, interceptor: Interceptor): Driver {
  return {
    traits: driver.traits,
    put: (key: ChunkKey, data: Uint8Array) => interceptor.call({ verb: 'put', key, data }, () => driver.put(key, data)),
    get: (key: ChunkKey, offset: number, into: Uint8Array) =>
      interceptor.call({ verb: 'get', key, into }, () => driver.get(key, offset, into)),
    stat: (key: ChunkKey) => interceptor.call({ verb: 'stat', key }, () => driver.stat(key)),
    remove: (key: ChunkKey) => interceptor.call({ verb: 'remove', key }, () => driver.remove(key)),
    list: (prefix: string) => interceptor.list({ verb: 'list', key: prefix }, () => driver.list(prefix)),
    close: () => (interceptor.close === undefined ? driver.close() : interceptor.close(() => driver.close())),
  };
}
