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

  /** Runs `work` with the export's URI. From its end on nobody can connect. */
  async during<T>(exported: PrivateExport, work: (uri: string) => Promise<T>): Promise<T> {
    const name = `${prefix}${randomBytes(secret_bytes).toString('hex')}`;
    this.#exports.set(name, exported);
    try {
      // Every character that QEMU's own grammar or an URI's could stumble over is encoded.
      const socket = encodeURIComponent(this.#socketPath).replaceAll('%2F', '/');
      return await work(`nbd+unix:///${name}?socket=${socket}`);
    } finally {
      this.#exports.delete(name);
    }
  }

  find(name: string): PrivateExport | null {
    return this.#exports.get(name) ?? null;
  }
}
