/** What the binding to librados offers (native/rados_bindings.cc). Its failures are errors with an errno name as `code`. */
import { loadNativeBinding } from '../../src/driver/native_binding.js';

export interface Cluster {
  /** Reads a configuration file, then sets options, each a name and then its value, which win. Before connect. */
  configure(path: string, ...options: readonly string[]): Promise<void>;
  connect(): Promise<void>;
  /** In a namespace, '' for that without a name. Before any of the calls below. */
  openPool(pool: string, namespace: string): Promise<void>;
  /** As configured; null where there is no such option. */
  option(name: string): string | null;
  /** EEXIST where the object is there. `data` is copied at once. */
  create(name: string, data: Uint8Array): Promise<void>;
  /** Bytes read. `into` has one byte at least. */
  read(name: string, offset: number, into: Uint8Array): Promise<number>;
  /** Its bytes. */
  stat(name: string): Promise<number>;
  remove(name: string): Promise<void>;
  /** A number for the two calls below. */
  beginListing(prefix: string): number;
  /** Some names, perhaps none; null at the end. */
  nextNames(listing: number): Promise<string[] | null>;
  endListing(listing: number): void;
  /** Waits for what is under way. Afterwards only endListing may be called. */
  close(): Promise<void>;
}

/** Of librados, 16 and later. @throws SkerryError unsupported where the binding was not built */
export function newCluster(user: string, timeoutSeconds: number): Cluster {
  const binding = loadNativeBinding({ driver: 'rados', package: 'librados-dev' }) as {
    readonly Cluster: new (user: string, timeoutSeconds: number) => Cluster;
  };
  return new binding.Cluster(user, timeoutSeconds);
}
