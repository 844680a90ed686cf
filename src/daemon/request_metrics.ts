/**
 * What is counted of S3 requests. Each is a few additions; to find the counter of a metrics library by its labels again takes longer than all else that
 * is told of a small request.
 */
import type { RequestRecord } from '../northbound/s3/request_record.js';
import type { Definition, Sample } from './metrics.js';

/** Ends of the histogram's buckets, seconds. */
const bucketEnds = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 30];
const seconds_name = 'skerry_s3_request_seconds';

interface OperationCounts {
  /** By status; 0: the client was gone. */
  readonly requests: Map<number, number>;
  /** By bucket, the last without an end; not summed up. */
  readonly buckets: number[];
  seconds: number;
}

export class RequestMetrics {
  readonly #operations = new Map<string, OperationCounts>();
  #bytesIn = 0;
  #bytesOut = 0;

  /** As they are told to Prometheus. */
  readonly definitions: readonly Definition<void>[] = [
    {
      name: 'skerry_s3_requests_total',
      help: 'S3 requests, by operation and status; 0: the client was gone',
      type: 'counter',
      read: () => [...this.#operations].flatMap(requestSamples),
    },
    {
      name: seconds_name,
      help: 'Time from the head of an S3 request to the end of its answer',
      type: 'histogram',
      read: () => [...this.#operations].flatMap(secondsSamples),
    },
    {
      name: 'skerry_s3_bytes_total',
      help: 'Bytes of bodies of S3 requests and answers',
      type: 'counter',
      read: () => [
        { value: this.#bytesIn, labels: { direction: 'in' } },
        { value: this.#bytesOut, labels: { direction: 'out' } },
      ],
    },
  ];

  observe({ operation, status, aborted, milliseconds, bytesIn, bytesOut }: RequestRecord): void {
    const counts = this.#countsOf(operation ?? 'none');
    const told = aborted ? 0 : status;
    counts.requests.set(told, (counts.requests.get(told) ?? 0) + 1);
    const seconds = milliseconds / 1000;
    let bucket = 0;
    while (seconds > (bucketEnds[bucket] ?? Number.POSITIVE_INFINITY)) bucket += 1;
    counts.buckets[bucket] = (counts.buckets[bucket] ?? 0) + 1;
    counts.seconds += seconds;
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
  }

  #countsOf(operation: string): OperationCounts {
    let counts = this.#operations.get(operation);
    if (counts === undefined) {
      counts = { requests: new Map(), buckets: bucketEnds.concat(0).fill(0), seconds: 0 };
      this.#operations.set(operation, counts);
    }
    return counts;
  }
}

function requestSamples([operation, { requests }]: readonly [string, OperationCounts]): Sample[] {
  return [...requests].map(([status, value]) => ({ value, labels: { operation, status: String(status) } }));
}

/** Prometheus has buckets that hold all that is shorter, too. */
function secondsSamples([operation, { buckets, seconds }]: readonly [string, OperationCounts]): Sample[] {
  let count = 0;
  const samples = buckets.map((inBucket, index): Sample => {
    count += inBucket;
    return { metricName: `${seconds_name}_bucket`, value: count, labels: { operation, le: String(bucketEnds[index] ?? '+Inf') } };
  });
  return [
    ...samples,
    { metricName: `${seconds_name}_sum`, value: seconds, labels: { operation } },
    { metricName: `${seconds_name}_count`, value: count, labels: { operation } },
  ];
}
