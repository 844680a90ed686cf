/** Numbers that more than one layer keeps to. Each name ends with its unit. Limits of one layer live in that layer. */

/** Of Node.js, for the daemon; commands that only ask it run on older ones. */
export const node_major_min = 22;
export const page_bytes = 4096;
export const block_bytes = 65_536;

/** Largest volume: offsets stay exact as JavaScript numbers, and a whole number of blocks. */
export const volume_bytes_max = 2 ** 53 - block_bytes;
export const volume_bytes_min = page_bytes;
/** The largest size that the NBD protocol and 64-bit file offsets can name. */
export const size_bytes_max = 2n ** 63n;

export const volume_name_characters_max = 56;
export const snapshot_name_characters_max = 56;
export const image_name_characters_max = 128;
export const pool_name_characters_max = 56;
export const account_name_characters_max = 64;
export const user_name_characters_max = 64;
export const display_name_characters_max = 128;
/** Of S3 a bucket's has 63, of Swift a container's 256. */
export const bucket_name_characters_max = 256;
/** Of one daemon: each has threads and a share of memory. */
export const pools_max = 16;
export const description_characters_max = 1024;
export const labels_count_max = 64;
export const label_key_characters_max = 63;
export const label_value_characters_max = 256;
export const access_grants_max = 256;
/** Of a client in such a list: a DNS name has no more. */
export const client_name_characters_max = 253;

/** A root chunk, tombstone or any other chunk that JavaScript reads whole: a volume's labels and clients at their longest fit. */
export const small_chunk_bytes_max = 262_144;
/** A log chunk: two MiB of records, the last of which may be longer than what is left of that. */
export const log_chunk_bytes_max = 4 << 20;
/** The list of packs that are gone from a pool: half a million ranges of them. */
export const gone_chunk_bytes_max = 4 << 20;
export const chunk_key_characters_max = 512;
