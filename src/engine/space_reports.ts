/** What the engine tells of whole pools: who holds how much, what came of giving space back, and of looking for rot. */

/** Distinct blocks and map nodes, and what their records take in packs. */
export interface Reached {
  readonly blocks: number;
  readonly nodes: number;
  readonly blockBytes: number;
  readonly nodeBytes: number;
}

/** Who holds how much, as of one moment: native/gc/space.h. */
export interface SpaceReport {
  /** Ascending by id, those without a name included. */
  readonly resources: readonly {
    readonly id: number;
    readonly sizeBytes: number;
    /** Whole blocks of its map, as often as it maps them. */
    readonly mappedBytes: number;
    /** Whole pages that were written and are not yet in its map. */
    readonly journalledBytes: number;
    /** By it, and perhaps by others. */
    readonly reached: Reached;
    /** By nothing else. */
    readonly alone: Reached;
  }[];
  readonly pool: {
    readonly reached: Reached;
    /** Of blocks that journalled writes put in packs, and that may be in no map yet: each as often as a write names it. */
    readonly journalledUses: number;
    /** What the records of blocks that are reached would take if none were compressed. */
    readonly uncompressedBytes: number;
    /** Of all records, reached or not. */
    readonly recordBytes: number;
    /** Of pack files. */
    readonly storedBytes: number;
    /** Of records that nothing reaches. */
    readonly deadBytes: number;
  };
  readonly nodesRead: number;
  /** Map nodes that cannot be read: what they lead to is not counted. */
  readonly nodesUnread: number;
  /** Sharing has more patterns than are kept apart: 'groups' and 'shared' tell too little. */
  readonly patternsCut: boolean;
}

/** Packs, and bytes in them that nothing wants. */
export interface PacksKept {
  readonly packs: number;
  readonly deadBytes: number;
}

/** What a run that gives space back found and did: native/gc/collector.h. Of a dry run: what it would do. */
export interface CollectReport {
  /** Of all packs that may be removed, when it began. */
  readonly packs: number;
  readonly storedBytes: number;
  readonly liveBytes: number;
  readonly packsWanted: number;
  readonly packsRemoved: number;
  readonly removedBytes: number;
  /** Of the removed: packs with something wanted in them, and that. */
  readonly packsMoved: number;
  readonly copiedBytes: number;
  readonly freedBytes: number;
  readonly nodesRead: number;
  /** Why the others stay. */
  readonly halfLive: PacksKept;
  readonly journalled: PacksKept;
  readonly damaged: PacksKept;
}

/** What a run that looks for rot found and did: native/check/scrub.h. */
export interface ScrubReport {
  /** Read, of so many that are sealed. */
  readonly packs: number;
  readonly packsInAll: number;
  /** Read from the disk. */
  readonly records: number;
  readonly bytes: number;
  readonly nodesReached: number;
  readonly blocksReached: number;
  /** Records; of these, put again from a second copy. */
  readonly damaged: number;
  readonly repaired: number;
  /** Of what somebody has: damaged and not repaired, or in no pack. */
  readonly lost: number;
  readonly reindexed: number;
  /** Findings that are not repaired, but for damaged records that nobody has. */
  readonly open: number;
  /** The first of them. Numbers that are not known are 0. */
  readonly findings: readonly {
    readonly what: 'pack' | 'footer' | 'index' | 'record' | 'node' | 'block';
    readonly missing: boolean;
    readonly pack: number;
    readonly offset: number;
    readonly resource: number;
    readonly id: string;
    readonly detail: string;
    readonly repaired: boolean;
    readonly wanted: boolean;
  }[];
  readonly findingsTotal: number;
}
