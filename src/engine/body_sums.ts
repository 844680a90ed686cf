/** Sums of bodies, taken on other threads. */
import { loadNativeModule } from './engine.js';

/** A sum of bytes in their order, by its name. */
export type SumName = 'MD5' | 'SHA1' | 'SHA256' | 'CRC32' | 'CRC32C' | 'CRC64NVME';

/** Of one body: native/sums/body_sums.h. */
export interface BodySums {
  /** In the order of the pieces, which stay as they are until it resolves; one call at a time. */
  update(pieces: readonly Uint8Array[]): Promise<void>;
  /** One for each name, in their order; cyclic ones big-endian. Ends it. */
  finish(): readonly Buffer[];
}

export type MakeSums = (names: readonly SumName[]) => BodySums;

/**
 * SHA-256 of each run that `pieces`, one after another, are made of: 32 bytes for each of `lengths`, which are as long together as the pieces. These
 * stay as they are until it resolves.
 */
export type Sha256OfRuns = (pieces: readonly Uint8Array[], lengths: readonly number[]) => Promise<Uint8Array>;

/** The addon's part of it. */
export interface NativeSums {
  readonly sha256OfRuns: Sha256OfRuns;
  /** Throws `invalid` for a name that is none. */
  BodySums: new (
    names: readonly SumName[],
  ) => BodySums;
}

export const sumsElsewhere: MakeSums = (names) => new (loadNativeModule().BodySums)(names);

export const sha256OfRunsElsewhere: Sha256OfRuns = (pieces, lengths) => loadNativeModule().sha256OfRuns(pieces, lengths);
