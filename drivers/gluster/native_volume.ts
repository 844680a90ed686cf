/** What the native binding gives: each promise is a call of libgfapi, and rejects with an Error whose `code` names an errno. */
import { loadNativeBinding } from '../../src/driver/native_binding.js';

export interface GlusterEntry {
  readonly name: string;
  readonly isFile: boolean;
  readonly isDirectory: boolean;
  readonly bytes: number;
  /** Since 1970, of the last change of the file or its name. */
  readonly changedSeconds: number;
}

export interface NativeFile {
  read(into: Uint8Array, offset: number): Promise<number>;
  write(from: Uint8Array, offset: number): Promise<number>;
  sync(): Promise<unknown>;
  close(): void;
}

export interface NativeDirectory {
  read(): Promise<readonly GlusterEntry[]>;
  close(): void;
}

export interface NativeVolume {
  open(path: string, toSync: boolean): Promise<NativeFile>;
  create(path: string): Promise<NativeFile>;
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  makeDirectory(path: string): Promise<void>;
  stat(path: string): Promise<readonly GlusterEntry[]>;
  openDirectory(path: string): Promise<NativeDirectory>;
  reach(path: string): Promise<void>;
  release(): void;
}

interface GlusterBinding {
  connect(port: number, volume: string, ...hosts: readonly string[]): Promise<NativeVolume>;
}

/** @throws SkerryError unsupported where it was not built */
export function loadGlusterBinding(): GlusterBinding {
  return loadNativeBinding({ driver: 'gluster', package: 'libglusterfs-dev' }) as GlusterBinding;
}
