/**
 * The seam's part for volumes that flush to their pools (native/addon_log.cc). In each life of the daemon, before anybody writes to such
 * a volume: restore what the pool has of it, where the journal is another one than the catalog says; take the sequence; take the next
 * fence in the catalog; begin. Until begin every flush of it waits.
 */

/** A sealed part of a volume's log: answered once, with completeChange, when it is durable in the pool. What it holds never changes. */
export interface LogChunkEvent {
  readonly type: 'log-chunk';
  readonly errand: number;
  readonly pool: string;
  readonly volume: number;
  readonly fence: number;
  readonly number: number;
  readonly firstSequence: number;
  readonly lastSequence: number;
  /** Chunks below this number were in the pool, or in a root, when this one was sealed. */
  readonly settled: number;
  readonly entries: Uint8Array;
}

/** The first chunk under the fence that is not in a root, or will not be. */
export interface LogMark {
  readonly fence: number;
  readonly first: number;
}

export interface VolumeLogs {
  /**
   * Before the engine starts: what 'journal' will say where that journal has all it was given, for its ring stands or it ended in order; zeroes where it may
   * lack what no sync covered. Fails as a start does.
   */
  volumeLog(what: 'whole'): Promise<Uint8Array>;
  /** 16 bytes: of the journal that is open. */
  volumeLog(what: 'journal'): Promise<Uint8Array>;
  /**
   * Journals again what is not there yet of a log chunk's entries, up to the sequence `until`: how many bytes of them are done with, fewer than there are where there
   * is no room for more right now. corrupt: they do not go on where the volume ends, or cannot be read.
   */
  volumeLog(what: 'restore', volume: number, entries: Uint8Array, until: number): Promise<number>;
  /** Of the volume's last record, once all up to it is durable in the journal. */
  volumeLog(what: 'sequence', volume: number): Promise<number>;
  /** The log of this life begins after `sequence`, which the catalog knows by now. try-again: the volume has later ones. */
  volumeLog(what: 'begin', volume: number, fence: number, sequence: number): Promise<void>;
  /** The pool takes too long: flushes of the volume that wait now fail. Nothing is given up of what they wait for. */
  volumeLog(what: 'late', volume: number, why: string): Promise<void>;
}
