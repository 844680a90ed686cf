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

/** The addon's part of it. */
export interface NativeSums {
  /** Throws `invalid` for a name that is none. */
  BodySums: new (
    names: readonly SumName[],
  ) => BodySums;
}

export const sumsElsewhere: MakeSums = (names) => new (loadNativeModule().BodySums)(names);
