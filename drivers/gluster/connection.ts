/**
 * Connections of this process to volumes: one for all who have a volume open, since each has threads of the library and
 * takes it ten seconds to end.
 */
import { SkerryError } from '../../src/core/errors.js';
import { loadGlusterBinding, type NativeVolume } from './native_volume.js';

export interface VolumeAddress {
  /** Tried in turn for what the volume consists of; its bricks are then asked directly. */
  readonly hosts: readonly string[];
  readonly port: number;
  readonly volume: string;
}

/** One that nobody uses is kept for so long, for who opens the volume again. */
const idle_milliseconds_max = 60_000;
/** The library waits without end for bricks that refuse this host; such calls cannot be ended, so there may only be so many. */
const late_connections_max = 16;

const known = new Map<string, Connection>();
let late = 0;

export class Connection {
  readonly connecting: Promise<NativeVolume>;
  readonly #key: string;
  #users = 0;
  #idle: NodeJS.Timeout | null = null;
  #made = false;

  private constructor(key: string, address: VolumeAddress) {
    this.#key = key;
    this.connecting = loadGlusterBinding().connect(address.port, address.volume, ...address.hosts);
    const made = (): void => {
      this.#made = true;
    };
    this.connecting.then(made, made);
  }

  /** The one there is, or a new one; the caller leaves it once. @throws SkerryError unavailable, unsupported */
  static to(address: VolumeAddress): Connection {
    const key = JSON.stringify(address);
    let connection = known.get(key);
    if (connection === undefined) {
      if (late >= late_connections_max)
        throw new SkerryError(
          'unavailable',
          `${late} connections to Gluster volumes hang: restart the daemon once they are mended`,
        );
      connection = new Connection(key, address);
      known.set(key, connection);
    }
    connection.#enter();
    return connection;
  }

  /** It does not serve: who comes next gets a new one. */
  forget(): void {
    if (known.get(this.#key) !== this) return;
    known.delete(this.#key);
    if (this.#made) return;
    late += 1;
    const made = (): void => {
      late -= 1;
    };
    this.connecting.then(made, made);
  }

  leave(): void {
    this.#users -= 1;
    if (this.#users > 0) return;
    if (known.get(this.#key) !== this) {
      this.#end();
      return;
    }
    this.#idle = setTimeout(() => {
      known.delete(this.#key);
      this.#end();
    }, idle_milliseconds_max);
    this.#idle.unref();
  }

  #enter(): void {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    this.#users += 1;
  }

  /** In the background; nobody waits for it. */
  #end(): void {
    this.connecting.then(
      (native) => native.release(),
      () => undefined,
    );
  }
}
