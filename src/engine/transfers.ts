/** How far copies of files are, and estimates of what files would take: the shapes of the seam. */

export interface TransferProgress {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly dataBytes: number;
  readonly finished: boolean;
}

/** What files would take, as far as they were read: native/engine/estimate.h. */
export interface EstimateStep {
  /** In the file: where to go on, and the end. */
  readonly next: number;
  readonly fileBytes: number;
  /** From here on of all that was read, in whole blocks. */
  readonly zeroBytes: number;
  readonly dataBytes: number;
  readonly distinctBytes: number;
  readonly knownBytes: number;
  /** Records of what is new: as the pool compresses now, if nothing were, with LZ4, with Zstandard at its default level. */
  readonly storedBytes: number;
  readonly rawBytes: number;
  readonly lz4Bytes: number;
  readonly zstdBytes: number;
  readonly exact: boolean;
}
