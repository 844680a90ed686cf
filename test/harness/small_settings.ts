/** Of a daemon whose journal and caches are much smaller than its data: segments are recycled, packs sealed and shipped, and roots committed while requests run. */
export const smallSettings = {
  journalBytesMax: '64M',
  segmentBytes: '4M',
  ringBytes: '16M',
  overlayBytesMax: '8M',
  blockCacheBytesMax: '1M',
  poolKeptBytesMax: '1M',
  localCacheBytesMax: 0,
};
