/**
 * The files of certificate, key and authorities: read at the start, and again when a refresh finds that they changed.
 * Files that cannot serve end a start; later they are told of once, and what served before goes on serving.
 */
import { SkerryError } from '../core/errors.js';
import type { TlsMaterial } from '../engine/binding.js';
import { loose_mode, readSmall } from './small_file.js';

export interface TlsPaths {
  readonly certificate: string;
  readonly key: string;
  /** Authorities of clients' certificates; null where clients are asked for none. */
  readonly clientCa: string | null;
}

export interface TlsFilesOptions {
  /** What is served with it, for the words of failures: NBD, S3. */
  readonly service: string;
  readonly paths: TlsPaths;
  /** @throws where it cannot serve */
  readonly use: (material: TlsMaterial) => void;
  readonly log: (level: 'info' | 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void;
}

interface Found {
  /** Differs where the files may. */
  readonly stamp: string;
  readonly material: TlsMaterial;
}

export class TlsFiles {
  readonly #options: TlsFilesOptions;
  /** Of what was read last, whether it could serve or not. */
  #stamp = '';
  #tail: Promise<void> = Promise.resolve();

  constructor(options: TlsFilesOptions) {
    this.#options = options;
  }

  /** @throws SkerryError that names the file, and what to do about it. */
  async load(): Promise<void> {
    const { stamp, material } = await this.#read();
    this.#use(material);
    this.#stamp = stamp;
  }

  /** Never fails. One at a time: what an older look found must not come after what a newer one did. */
  refresh(): Promise<void> {
    this.#tail = this.#tail.then(() => this.#refresh());
    return this.#tail;
  }

  async #refresh(): Promise<void> {
    const { certificate, key } = this.#options.paths;
    try {
      const { stamp, material } = await this.#read();
      if (stamp === this.#stamp) return;
      this.#stamp = stamp;
      this.#use(material);
      this.#options.log('info', 'the TLS certificate was read anew', { certificate });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      // A file that is missing has no stamp; the words take its place, so that the log has them once.
      if (!(error instanceof TlsRefusal)) {
        if (this.#stamp === message) return;
        this.#stamp = message;
      }
      this.#options.log('warn', 'the TLS certificate changed and cannot be used: the one before goes on serving', {
        certificate,
        key,
        error: message,
      });
    }
  }

  #use(material: TlsMaterial): void {
    const { certificate, key, clientCa } = this.#options.paths;
    try {
      this.#options.use(material);
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      const where = `certificate ${certificate}, key ${key}${clientCa === null ? '' : `, authorities of clients ${clientCa}`}`;
      throw new TlsRefusal('invalid', `${this.#options.service} cannot be served with TLS: ${message} (${where})`, { cause });
    }
  }

  async #read(): Promise<Found> {
    const { service } = this.#options;
    const { certificate, key, clientCa } = this.#options.paths;
    const parts = [
      await readSmall(certificate, `${service}'s TLS certificate`),
      await readSmall(key, `${service}'s TLS key`, loose_mode),
      clientCa === null ? { stamp: '', text: '' } : await readSmall(clientCa, `${service}'s TLS authorities of clients`),
    ] as const;
    return {
      stamp: parts.map(({ stamp }) => stamp).join(' '),
      material: { certificate: parts[0].text, key: parts[1].text, clientCa: parts[2].text },
    };
  }
}

/** What was read, and its stamp remembered, but cannot be used. */
class TlsRefusal extends SkerryError {}
