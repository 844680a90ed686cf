/** V8's share of the daemon's memory: what the process is started with (src/cli/heap.ts), and what its configuration counts with. */

const MiB = 1 << 20;
export const old_space_mebibytes_max = 256;
export const semi_space_mebibytes_max = 16;
/** V8's young generation is three semi-spaces. */
export const heap_bytes_max = (old_space_mebibytes_max + 3 * semi_space_mebibytes_max) * MiB;
