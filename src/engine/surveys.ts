/**
 * The seam's other part, as the addon exports it (native/addon_check.cc): what is asked of a data directory that no engine has open.
 */
import type { TreeRootSpec } from './binding.js';

/** What a journal holds, told without changing it. Sequences are those of the volume, 0 where there is none. */
export interface JournalSurvey {
  readonly present: boolean;
  /** Of the ring that belongs to it; '' where none of those that were named does. */
  readonly ringName: string;
  readonly resources: readonly {
    readonly id: number;
    readonly records: number;
    readonly firstSequence: number;
    readonly lastSequence: number;
    readonly fence: number;
    /** Where its writes end that come before a resize or a rollback. */
    readonly endBytes: number;
    /** It was deleted. */
    readonly dropped: boolean;
  }[];
  /** `sizeBytes`: of the volume there; 0 where no record before it says. */
  readonly barriers: readonly {
    readonly volume: number;
    readonly snapshot: number;
    readonly sequence: number;
    readonly sizeBytes: number;
  }[];
  readonly records: number;
  readonly ringRecords: number;
  readonly ringUsed: boolean;
  readonly segments: number;
  readonly notes: readonly string[];
}

export interface PoolCheckOrder {
  /** Of the packs. */
  readonly directory: string;
  /** Of the location index; '' where it is not to be compared. */
  readonly checkpoint: string;
  readonly domain: number;
  readonly domainKey: Uint8Array;
  /** Of an encrypted pool; else null. */
  readonly dataKey: Uint8Array | null;
  readonly roots: readonly (TreeRootSpec & { readonly resource: number })[];
  /** Read of each record: nothing, its header and page sums, or these and its content against its id. */
  readonly content: 'none' | 'sums' | 'hashes';
}

export interface PoolCheckReport {
  readonly packs: number;
  readonly openPacks: number;
  readonly blocks: number;
  readonly nodes: number;
  readonly bytes: number;
  readonly recordsRead: number;
  readonly nodesReached: number;
  readonly blocksReached: number;
  readonly indexCompared: boolean;
  /** The first of them. Numbers that are not known are 0. */
  readonly findings: readonly {
    readonly what: 'pack' | 'footer' | 'index' | 'record' | 'node' | 'block';
    readonly missing: boolean;
    readonly pack: number;
    readonly offset: number;
    readonly resource: number;
    readonly volumeOffset: number;
    readonly id: string;
    readonly detail: string;
  }[];
  readonly findingsTotal: number;
  /** Resources that do not reach all they name. */
  readonly damagedRoots: readonly number[];
  readonly notes: readonly string[];
}

/** On a data directory that no engine has open. Nothing is changed; work is done on a thread of its own. */
export interface NativeSurveys {
  /** Rejects with corrupt where a start would. `rings`: names in /dev/shm that may belong to it. */
  surveyJournal(directory: string, rings: readonly string[]): Promise<JournalSurvey>;
  checkPool(order: PoolCheckOrder): Promise<PoolCheckReport>;
}
