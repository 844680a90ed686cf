/** What the engine tells of space: who holds how much, and what came of giving it back. */

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
