/** What attached resources do, by the second: the difference of two looks at their counters. */
import type { ActivityView } from '../api/shapes.js';

/** What requests of one kind did a second, and how long one took, in seconds; null where there was none. */
export interface OperationRates {
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly errorsPerSecond: number;
  readonly latencySeconds: number | null;
}

export interface ResourceRates {
  readonly name: string;
  readonly kind: 'volume' | 'snapshot' | 'image';
  readonly connections: number;
  readonly journalBytes: number;
  readonly read: OperationRates;
  readonly write: OperationRates;
  readonly flush: OperationRates;
  readonly trim: OperationRates;
}

export interface Rates {
  /** Between the two looks. */
  readonly seconds: number;
  readonly problems: readonly string[];
  readonly journal: { readonly bytes: number; readonly bytesMax: number };
  /** What is attached as of the later look, the busiest first. */
  readonly resources: readonly ResourceRates[];
}

type Attached = ActivityView['resources'][number];
type Counters = Attached['read'];
const nothing: Counters = { operations: 0, bytes: 0, errors: 0, latencySeconds: 0 };
const kinds = ['read', 'write', 'flush', 'trim'] as const;

/** Of a daemon that was started anew between them, `before` counts as nothing. */
export function ratesBetween(before: ActivityView, after: ActivityView): Rates {
  const anew = after.atSeconds <= before.atSeconds;
  const seconds = anew ? after.atSeconds : after.atSeconds - before.atSeconds;
  const earlier = new Map(anew ? [] : before.resources.map((one) => [one.id, one]));
  const resources = after.resources.map((now) => rated(now, began(earlier.get(now.id), now), seconds));
  return {
    seconds,
    problems: after.problems,
    journal: after.journal,
    resources: resources.sort((a, b) => busy(b) - busy(a) || (a.name < b.name ? -1 : 1)),
  };
}

/** Counters that are smaller than they were began anew, with a new first connection. */
function began(before: Attached | undefined, now: Attached): Attached | undefined {
  return before !== undefined && kinds.every((kind) => now[kind].operations >= before[kind].operations) ? before : undefined;
}

function rated(now: Attached, before: Attached | undefined, seconds: number): ResourceRates {
  const rate = (kind: (typeof kinds)[number]): OperationRates => {
    const from = before?.[kind] ?? nothing;
    const operations = now[kind].operations - from.operations;
    const each = (difference: number): number => (seconds > 0 ? Math.max(0, difference) / seconds : 0);
    return {
      iops: each(operations),
      bytesPerSecond: each(now[kind].bytes - from.bytes),
      errorsPerSecond: each(now[kind].errors - from.errors),
      latencySeconds: operations > 0 ? Math.max(0, now[kind].latencySeconds - from.latencySeconds) / operations : null,
    };
  };
  const { name, kind, connections, journalBytes } = now;
  return {
    name,
    kind,
    connections,
    journalBytes,
    read: rate('read'),
    write: rate('write'),
    flush: rate('flush'),
    trim: rate('trim'),
  };
}

function busy({ read, write, flush, trim }: ResourceRates): number {
  return read.iops + write.iops + flush.iops + trim.iops;
}
