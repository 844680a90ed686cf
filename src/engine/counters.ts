/** What is counted of requests. */

export interface OperationCounters {
  readonly operations: number;
  readonly bytes: number;
  readonly errors: number;
  readonly latencySeconds: number;
  /** Bucket i counts latencies under 2^i microseconds, the last all others. */
  readonly latencyBuckets: readonly number[];
}

/** What the connections of one resource did since the first of those that are attached now. */
export interface ResourceActivity
  extends Readonly<Record<'read' | 'write' | 'flush' | 'trim', Omit<OperationCounters, 'latencyBuckets'>>> {
  readonly resource: number;
  readonly connections: number;
  /** Of the journal, that this resource's writes take and no root holds yet. */
  readonly journalBytes: number;
}
