/** What servers that speak S3 differ in. Apart from the SDK, so that asking it costs nothing. */
import type { DriverTraits } from '../../src/driver/driver.js';

export const chunk_bytes_max = 1 << 30;
export const in_flight_max = 32;

export interface Dialect {
  readonly listing: 'v1' | 'v2';
  /** The server honours If-None-Match on a put, so that a taken key is refused. */
  readonly conditionalPut: boolean;
  /** A listing may be older than the last put or remove. */
  readonly listsLate: boolean;
}

/** As they are known before anything is opened. */
export function traitsOf(dialect: Dialect): DriverTraits {
  return {
    chunkBytesMax: chunk_bytes_max,
    inFlightMax: in_flight_max,
    readAfterWrite: true,
    refusesRewrite: dialect.conditionalPut,
    ...(dialect.listsLate ? { listsLate: true } : {}),
  };
}
