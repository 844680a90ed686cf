/** Connects the engine's handshake events with one state machine each. The transmission phase never comes here. */
import { isSkerryError } from '../../core/errors.js';
import type { EngineEvent, NativeEngine } from '../../engine/binding.js';
import type { PrivateExports } from '../../mapper/private_exports.js';
import type { Resource, Resources } from '../../mapper/resources.js';
import { describePeer, rightOf, type Peer, type Right } from './access.js';
import { Handshake, type Export, type Listing, type LookUp, type Since, type Step, type TlsMode } from './handshake.js';
import { exports_listed_max } from './protocol.js';

export type ConnectionEvent = Extract<EngineEvent, { type: 'connected' | 'message' | 'secured' | 'closed' }>;

/** A connection under TLS, a TLS handshake that failed, an export that a client may not have. */
export type NbdOccurrence = 'tls' | 'tls-failed' | 'refused';

export interface NbdOptions {
  readonly engine: Pick<NativeEngine, 'answer'>;
  readonly resources: Pick<Resources, 'get' | 'list'>;
  /** Names that only programs of the daemon know. They are found on Unix sockets, and never listed. */
  readonly privateExports?: Pick<PrivateExports, 'find'>;
  readonly tls?: {
    /** On TCP. Unix sockets offer it where it is not off, and never ask for it. */
    readonly mode: TlsMode;
    /** Gives the engine what the files of certificate and key hold now. What is wrong with them is its own affair. */
    refresh(): Promise<void>;
  };
  readonly count?: (occurrence: NbdOccurrence) => void;
  readonly log: (level: 'info' | 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void;
}

interface Connection {
  readonly handshake: Handshake;
  readonly listener: string;
  peer: Peer;
  /** Whether the engine does its TLS handshake now. */
  securing: boolean;
  /** Messages of a connection are handled one at a time, in order. */
  tail: Promise<void>;
}

export class NbdHandshakes {
  readonly #options: NbdOptions;
  readonly #connections = new Map<number, Connection>();
  #stopping = false;

  constructor(options: NbdOptions) {
    this.#options = options;
  }

  /** Connections that are still in their handshake. */
  get size(): number {
    return this.#connections.size;
  }

  /** New options are answered with SHUTDOWN from here on. */
  stop(): void {
    this.#stopping = true;
  }

  handle(event: ConnectionEvent): void {
    switch (event.type) {
      case 'connected': {
        const { listener, user } = event;
        const connection: Connection = {
          handshake: new Handshake(this.#tlsModeOf(listener)),
          listener,
          peer: { user: user < 0 ? null : user, tls: null },
          securing: false,
          tail: Promise.resolve(),
        };
        this.#connections.set(event.connection, connection);
        this.#enqueue(event.connection, connection, (handshake) => handshake.start());
        return;
      }
      case 'message': {
        const connection = this.#connections.get(event.connection);
        if (connection !== undefined) this.#enqueue(event.connection, connection, (handshake) => handshake.receive(event.bytes));
        return;
      }
      case 'secured': {
        const connection = this.#connections.get(event.connection);
        if (connection === undefined) return;
        const { type: _type, connection: _id, ...tls } = event;
        connection.securing = false;
        connection.peer = { ...connection.peer, tls };
        this.#options.count?.('tls');
        this.#enqueue(event.connection, connection, (handshake) => handshake.secured());
        return;
      }
      case 'closed': {
        if (this.#connections.get(event.connection)?.securing === true) {
          this.#options.count?.('tls-failed');
          this.#options.log('warn', 'a TLS handshake failed', { connection: event.connection, why: event.why });
        }
        this.#connections.delete(event.connection);
      }
    }
  }

  #enqueue(id: number, connection: Connection, begin: (handshake: Handshake) => Step): void {
    connection.tail = connection.tail
      .then(() => this.#run(id, connection, begin))
      .catch((error: unknown) => {
        // The engine refuses an answer for a connection that closed, or for a resource that was deleted, meanwhile.
        this.#options.log('warn', 'an NBD handshake failed', {
          connection: id,
          error: error instanceof Error ? error.message : String(error),
        });
        this.#end(id);
      });
  }

  async #run(id: number, connection: Connection, begin: (handshake: Handshake) => Step): Promise<void> {
    const { handshake } = connection;
    let step = begin(handshake);
    while (step.next === 'look-up' || step.next === 'list') {
      step =
        step.next === 'look-up'
          ? handshake.found(await this.#lookUp(step.name, connection, step.snapshots ?? []))
          : handshake.listed(await this.#list(connection.peer));
    }
    if (this.#connections.get(id) !== connection) return;
    const { engine, tls } = this.#options;
    switch (step.next) {
      case 'secure':
        await tls?.refresh();
        if (this.#connections.get(id) !== connection) return;
        connection.securing = true;
        engine.answer(id, { send: step.send, next: 'secure' });
        return;
      case 'read':
        engine.answer(id, { send: step.send, next: 'read', readBytes: step.readBytes });
        return;
      case 'transmit':
        engine.answer(id, {
          send: step.send,
          next: 'transmit',
          resource: step.resource,
          sizeBytes: step.sizeBytes,
          readOnly: step.readOnly,
          structuredReplies: step.structuredReplies,
          baseAllocation: step.baseAllocationId !== null,
          baseAllocationId: step.baseAllocationId ?? 0,
          changed: step.changed,
        });
        this.#connections.delete(id);
        return;
      case 'close':
        this.#options.log('info', 'an NBD handshake ended', { connection: id, listener: connection.listener, why: step.why });
        engine.answer(id, { send: step.send, next: 'close' });
        this.#connections.delete(id);
    }
  }

  #end(id: number): void {
    if (!this.#connections.delete(id)) return;
    try {
      this.#options.engine.answer(id, { send: new Uint8Array(0), next: 'close' });
    } catch {
      // It was closed already, which is what was wanted.
    }
  }

  #tlsModeOf(listener: string): TlsMode {
    const mode = this.#options.tls?.mode ?? 'off';
    return mode === 'required' && isUnix(listener) ? 'optional' : mode;
  }

  async #lookUp(name: string, connection: Connection, snapshots: readonly string[] | 'all'): Promise<LookUp> {
    if (this.#stopping) return { outcome: 'shutdown' };
    const { listener, peer } = connection;
    const own = isUnix(listener) ? this.#options.privateExports?.find(name) : undefined;
    if (own !== undefined && own !== null) return { outcome: 'found', exported: { ...own, name, description: '' } };
    // There is no default export: with more than one volume nobody could say which it is.
    if (name === '') return { outcome: 'unknown', message: 'name an export: a volume, or VOLUME@SNAPSHOT' };
    try {
      const resource = await this.#options.resources.get(name.includes('@') ? 'snapshot' : 'volume', name);
      const right = rightOf(peer, await this.#accessOf(resource));
      if (right === 'none') {
        this.#options.count?.('refused');
        this.#options.log('warn', 'a client was refused an export', { export: name, listener, ...describePeer(peer) });
        return { outcome: 'refused', message: `this client may not attach ${name}: ask for it to be put on the volume's list` };
      }
      if (resource.unavailable !== null) return { outcome: 'unknown', message: resource.unavailable };
      const exported = toExport(resource, right);
      return { outcome: 'found', exported, since: await this.#snapshotsOf(name, snapshots) };
    } catch (error) {
      if (isSkerryError(error, 'closed')) return { outcome: 'shutdown' };
      if (isSkerryError(error)) return { outcome: 'unknown', message: error.message };
      throw error;
    }
  }

  /** A snapshot has its volume's list, as it is now. */
  async #accessOf({ kind, name, access }: Resource): Promise<Resource['access']> {
    if (kind !== 'snapshot') return access;
    return (await this.#options.resources.get('volume', volumeOf(name))).access;
  }

  /** Those of these names that there are, or all, of the volume that is exported or that the exported snapshot is of. */
  async #snapshotsOf(name: string, wanted: readonly string[] | 'all'): Promise<readonly Since[]> {
    const { resources } = this.#options;
    const volume = volumeOf(name);
    const found: Resource[] = [];
    if (wanted === 'all') {
      found.push(...(await resources.list('snapshot', { volume })));
    } else {
      for (const snapshot of wanted) {
        try {
          found.push(await resources.get('snapshot', `${volume}@${snapshot}`));
        } catch (error) {
          // A name that is none, or of nothing: the client hears of no such context.
          if (!isSkerryError(error, 'not-found', 'invalid')) throw error;
        }
      }
    }
    return found.map((snapshot) => ({ snapshot: snapshot.name.slice(volume.length + 1), resource: snapshot.id }));
  }

  async #list(peer: Peer): Promise<Listing> {
    if (this.#stopping) return { outcome: 'shutdown' };
    try {
      const volumes = await this.#options.resources.list('volume');
      const snapshots = volumes.length > exports_listed_max ? [] : await this.#options.resources.list('snapshot');
      const rights = new Map(volumes.map(({ name, access }): [string, Right] => [name, rightOf(peer, access)]));
      const exports = [...volumes, ...snapshots].flatMap((resource) => {
        // One that was made since the volumes were listed may be anybody's.
        const right = rights.get(volumeOf(resource.name)) ?? 'none';
        return right === 'none' ? [] : [toExport(resource, right)];
      });
      return { outcome: 'listed', exports };
    } catch (error) {
      if (isSkerryError(error, 'closed')) return { outcome: 'shutdown' };
      if (isSkerryError(error)) return { outcome: 'failed', message: error.message };
      throw error;
    }
  }
}

function toExport(resource: Resource, right: Right): Export {
  const { id, name, description, sizeBytes, kind } = resource;
  return {
    resource: id,
    name,
    description: description === '' ? describe(resource) : description,
    sizeBytes,
    readOnly: kind !== 'volume' || right === 'read',
  };
}

function isUnix(listener: string): boolean {
  return listener.startsWith('/');
}

/** Of VOL and of VOL@SNAP alike. */
function volumeOf(name: string): string {
  return name.replace(/@.*$/s, '');
}

function describe(resource: Resource): string {
  return resource.parent === null
    ? `${resource.kind} ${resource.name}`
    : `${resource.kind} ${resource.name} of ${resource.parent}`;
}
