/** What the commands tell that work on a data directory without a daemon: `pool check` and `pool recover`. Times in ISO 8601. */

export type CheckedContent = 'none' | 'sums' | 'hashes';

export interface PoolFindingView {
  /** What is not as it should be. */
  readonly what:
    | 'pack'
    | 'footer'
    | 'index'
    | 'record'
    | 'node'
    | 'block'
    | 'root-chunk'
    | 'tombstone'
    | 'pool-chunk'
    | 'catalog'
    | 'journal';
  /** No pack holds it; else it is there and damaged. */
  readonly missing: boolean;
  /** The first resource that reaches it; null where none is known to. */
  readonly resource: { readonly id: number; readonly name: string } | null;
  /** Of what a node or block is, in the resource. */
  readonly volumeOffset: number | null;
  /** Number of the pack and offset in it; null where none is known. */
  readonly pack: number | null;
  readonly offset: number | null;
  /** 64 hexadecimal digits of a block or node; '' for what has none. */
  readonly id: string;
  readonly detail: string;
}

export interface PoolCheckView {
  readonly pool: string;
  readonly directory: string;
  readonly content: CheckedContent;
  readonly healthy: boolean;
  readonly packs: number;
  readonly openPacks: number;
  readonly storedBytes: number;
  readonly blocks: number;
  readonly nodes: number;
  /** Of which header and page sums were checked, and with `hashes` the content. */
  readonly recordsRead: number;
  readonly nodesReached: number;
  readonly blocksReached: number;
  /** There was a checkpoint of the location index, and it was compared. */
  readonly indexCompared: boolean;
  readonly resources: number;
  readonly rootChunks: number;
  readonly tombstones: number;
  readonly journalRecords: number;
  /** The first of them. */
  readonly findings: readonly PoolFindingView[];
  readonly findingsTotal: number;
  /** Resources that do not reach all they name. */
  readonly damaged: readonly { readonly id: number; readonly name: string }[];
  readonly notes: readonly string[];
}

export interface RecoveredView {
  readonly id: number;
  readonly kind: 'volume' | 'snapshot' | 'image';
  readonly name: string;
  /** damaged: in the catalog, and not all of it can be read. lost: not in the catalog. */
  readonly state: 'whole' | 'damaged' | 'lost';
  readonly sizeBytes: number;
  /** When the root was put into the pool that it was recovered from; null where there was none. */
  readonly rootFrom: string | null;
  /** Changes that the journal holds beyond that root: the next start replays them. */
  readonly journalRecords: number;
  readonly notes: readonly string[];
}

export interface PoolRecoverView {
  readonly pool: string;
  /** Where the pool is: a directory, or the settings of its driver. */
  readonly directory: string;
  /** false: nothing was changed, this is what would be. */
  readonly done: boolean;
  /** When the pool was last told anything: what the catalog was told later, and the journal does not hold, is missing. */
  readonly asOf: string | null;
  readonly resources: readonly RecoveredView[];
  readonly deleted: number;
  /** The catalog that was there. */
  readonly movedTo: string | null;
  /** Of a pool that is recovered from its backend alone: whose it was, in words; null where it does not say. */
  readonly owner: string | null;
  readonly journal: 'replayed at the next start' | 'absent' | 'unreadable';
  /** What else there is to know, a sentence each. */
  readonly notes: readonly string[];
}
