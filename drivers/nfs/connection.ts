/**
 * What the binding gives: one TCP connection to one service of an NFS server. Each method but close is one remote call; it
 * fails with an Error that has the name of an errno as `code`, in bounded time, and its buffer is not used after it settled.
 */
import { loadNativeBinding } from '../../src/driver/native_binding.js';

/** What the server calls a file or directory by; opaque. */
export type Handle = Uint8Array;

export interface Attributes {
  readonly kind: 'file' | 'directory' | 'other';
  readonly bytes: number;
  readonly modifiedSeconds: number;
}

export interface Page {
  /** A server need not tell attributes. */
  readonly entries: readonly { readonly name: string; readonly attributes: Attributes | null }[];
  /** From where, and in whose reckoning, the next page goes on. */
  readonly cookie: bigint;
  readonly verifier: bigint;
  readonly end: boolean;
}

export interface Connection {
  /** The first call. `port` 0: the portmapper of the server knows. ECONNREFUSED for whatever keeps it from being made. */
  connect(address: string, port: number, program: number): Promise<void>;
  mount(path: string): Promise<Handle>;
  limits(root: Handle): Promise<{ readonly readBytesMax: number; readonly writeBytesMax: number }>;
  lookup(directory: Handle, name: string): Promise<{ readonly handle: Handle; readonly attributes: Attributes | null }>;
  create(directory: Handle, name: string): Promise<void>;
  makeDirectory(directory: Handle, name: string): Promise<void>;
  remove(directory: Handle, name: string): Promise<void>;
  rename(directory: Handle, name: string, toDirectory: Handle, toName: string): Promise<void>;
  /** The first page for two zeroes. */
  list(directory: Handle, cookie: bigint, verifier: bigint): Promise<Page>;
  attributes(handle: Handle): Promise<Attributes>;
  /** Bytes read, which may be fewer than there are; 0 at the end alone. */
  read(handle: Handle, offset: number, into: Uint8Array): Promise<number>;
  /** Bytes that are not stable may be lost until a commit; that it gives another verifier than they had tells of that. */
  write(
    handle: Handle,
    offset: number,
    data: Uint8Array,
  ): Promise<{ readonly bytes: number; readonly stable: boolean; readonly verifier: bigint }>;
  commit(handle: Handle): Promise<bigint>;
  /** Ends it, and what is under way with ECONNRESET. */
  close(): void;
}

/** Of a failed call: it was late, or the connection has ended. No further call over it can succeed. */
export function isLost(error: unknown): boolean {
  return ['ETIMEDOUT', 'ECONNRESET', 'ECONNREFUSED'].includes(errnoName(error));
}

/** '' where the error has none. */
export function errnoName(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** @throws SkerryError unsupported where the binding is not built */
export function newConnection(user: { readonly uid: number; readonly gid: number }, timeoutMilliseconds: number): Connection {
  const binding = loadNativeBinding({ driver: 'nfs', package: 'libnfs-dev' }) as {
    readonly Connection: new (uid: number, gid: number, timeoutMilliseconds: number) => Connection;
  };
  return new binding.Connection(user.uid, user.gid, timeoutMilliseconds);
}
