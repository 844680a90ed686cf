/**
 * Walks what the catalog has under the keys of a bucket, in the order of their bytes, and folds keys that share a beginning up
 * to a delimiter into that. What is folded is stepped over by a search, not by reading it: so a page costs what is on it,
 * however large the bucket. Keys here are byte strings (src/catalog/object_keys.ts).
 */
import { setImmediate } from 'node:timers/promises';

import type { Catalog } from '../catalog/catalog.js';
import { afterKey, afterPrefix, beforeKey, splitKey } from '../catalog/object_keys.js';

/** Read at once: few after a jump, for the next jump may come soon; more as long as there is none. */
const rows_per_read_min = 8;
const rows_per_read_max = 512;
/** A catalog on a disk reads without a pause: after so many rows all else that waits has its turn. */
const rows_per_turn_max = 512;

export interface WalkOrder {
  readonly catalog: Catalog;
  /** objectsPrefix or uploadsPrefix of the bucket. */
  readonly under: string;
  readonly prefix: string;
  /** '' for none. */
  readonly delimiter: string;
  /** A place of the catalog that the walk begins after: of beforeKey and its like. */
  readonly after: string;
  /** This group was told already. */
  readonly toldGroup: string | null;
}

export interface Row {
  readonly key: string;
  /** What stands behind the key: a version's order, an upload's id. */
  readonly rest: string;
  readonly value: Uint8Array;
  readonly revision: number;
  /** It is folded into this; null where it stands for itself. */
  readonly group: string | null;
}

/** Where to go on. */
export type Jump = 'next' | 'next-key' | 'next-group';

/** `visit` is asked of each row that the walk comes to, and says where it goes on; null ends the walk. */
export async function walkKeys(order: WalkOrder, visit: (row: Row) => Jump | null): Promise<void> {
  const { catalog, under, prefix, delimiter } = order;
  const first = beforeKey(under, prefix);
  let after = order.after > first ? order.after : first;
  let skippedGroup = order.toldGroup;
  let skippedKey: string | null = null;
  let rowsOfTurn = 0;
  for (let count = rows_per_read_min; ; count = Math.min(count * 2, rows_per_read_max)) {
    const rows = await catalog.range(under, { after, entriesMax: count });
    rowsOfTurn += rows.length;
    if (rowsOfTurn >= rows_per_turn_max) {
      rowsOfTurn = 0;
      await setImmediate();
    }
    let jumped = false;
    for (const { key: at, value, revision } of rows) {
      const { key, rest } = splitKey(under, at);
      if (!key.startsWith(prefix)) return;
      jumped = key === skippedKey || (skippedGroup !== null && key.startsWith(skippedGroup));
      if (jumped) continue;
      const group = groupOf(key, prefix, delimiter);
      const jump = visit({ key, rest, value, revision, group });
      if (jump === null) return;
      skippedKey = jump === 'next-key' ? key : null;
      skippedGroup = jump === 'next-group' ? group : null;
    }
    const last = rows.at(-1);
    if (last === undefined || rows.length < count) return;
    if (skippedGroup !== null && skippedKey === null && jumped) {
      after = afterPrefix(under, skippedGroup);
      count = rows_per_read_min;
    } else if (skippedKey !== null && jumped) {
      after = afterKey(under, skippedKey);
      count = rows_per_read_min;
    } else after = last.key;
  }
}

/** The beginning of a key up to and with the first delimiter behind the prefix. */
export function groupOf(key: string, prefix: string, delimiter: string): string | null {
  const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
  return at < 0 ? null : key.slice(0, at + delimiter.length);
}
