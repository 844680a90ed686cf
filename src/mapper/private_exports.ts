/** Exports for programs that the daemon itself starts: each under a name that nobody can guess, for as long as it is needed. */
import { randomBytes } from 'node:crypto';

export interface PrivateExport {
  readonly resource: number;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

/** No resource can have such a name. */
const prefix = 'transfer/';
const secret_bytes = 16;

export class PrivateExports {
  readonly #exports = new Map<string, PrivateExport>();
  readonly #socketPath: string;

  /** `socketPath`: where the daemon serves NBD. */
  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** Until `close` is called. From then on nobody can connect. */
  open(exported: PrivateExport): { readonly uri: string; readonly close: () => void } {
    const name = `${prefix}${randomBytes(secret_bytes).toString('hex')}`;
    this.#exports.set(name, exported);
    // Every character that QEMU's own grammar or an URI's could stumble over is encoded.
    const socket = encodeURIComponent(this.#socketPath).replaceAll('%2F', '/');
    return { uri: `nbd+unix:///${name}?socket=${socket}`, close: () => void this.#exports.delete(name) };
  }

  /** Runs `work` with the export's URI. From its end on nobody can connect. */
  async during<T>(exported: PrivateExport, work: (uri: string) => Promise<T>): Promise<T> {
    const { uri, close } = this.open(exported);
    try {
      return await work(uri);
    } finally {
      close();
    }
  }

  find(name: string): PrivateExport | null {
    return this.#exports.get(name) ?? null;
  }
}
