/** Where the log of a volume is that flushes to its pool: part of its record (docs/decisions/0056-durability-pool.md). */
import type protobuf from 'protobufjs';

import type { Fields } from './records.js';

/** Log chunks under one fence. */
export interface LogSpan {
  readonly fence: number;
  /** The first sequence in it: worth something only over a root with all that came before. */
  readonly from: number;
  /** The first chunk that the volume's root does not hold whole. */
  readonly first: number;
}

export interface LogRecord extends LogSpan {
  /** 16 bytes: of the journal that has all that the log has, and more; none where that is not known. */
  readonly journal: Uint8Array;
  /** Of a life before, while the root does not hold all of it: what counts of it ends with the sequence `until`. */
  readonly older: (LogSpan & { readonly until: number }) | null;
}

export const logMessage: protobuf.IType = {
  fields: {
    journal: { type: 'bytes', id: 1 },
    fence: { type: 'uint64', id: 2 },
    from: { type: 'uint64', id: 3 },
    first: { type: 'uint64', id: 4 },
    older: { type: 'OlderLog', id: 5 },
  },
};

export const olderLogMessage: protobuf.IType = {
  fields: {
    fence: { type: 'uint64', id: 1 },
    from: { type: 'uint64', id: 2 },
    first: { type: 'uint64', id: 3 },
    until: { type: 'uint64', id: 4 },
  },
};

/** What is to be encoded. */
export function logFields({ journal, fence, from, first, older }: LogRecord): Record<string, unknown> {
  if (journal.length !== 16 && journal.length !== 0) throw new RangeError('the id of a journal has 16 bytes');
  for (const value of [fence, from, first, ...(older === null ? [] : [older.fence, older.from, older.first, older.until])])
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} cannot stand in the record of a log`);
  return { journal, fence, from, first, ...(older === null ? {} : { older }) };
}

export function logOf(fields: Fields | null): LogRecord | null {
  if (fields === null) return null;
  const older = fields.optional('older');
  return {
    journal: fields.bytes('journal'),
    ...spanOf(fields),
    older: older === null ? null : { ...spanOf(older), until: older.number('until') },
  };
}

function spanOf(fields: Fields): LogSpan {
  return { fence: fields.number('fence'), from: fields.number('from'), first: fields.number('first') };
}
