/** Of what kind a request was, as usage counts them. */
import type { OperationClass, StatusClass } from '../../catalog/usage_records.js';
import type { Usage } from '../../identity/usage.js';
import type { Buckets } from '../../object/buckets.js';
import type { RequestRecord } from './request_record.js';

export interface RequestUsageOptions {
  readonly usage: Pick<Usage, 'record'>;
  readonly buckets: Pick<Buckets, 'get'>;
}

/**
 * A request for a bucket counts for the bucket's owner, whoever asked; one for none, or for a bucket that is not there, for who asked. What
 * was asked with a bad signature counts for nobody. Never rejects.
 */
export async function countRequest({ usage, buckets }: RequestUsageOptions, record: RequestRecord): Promise<void> {
  if (!record.authenticated) return;
  const { bucket, principal, bytesIn, bytesOut } = record;
  const found = bucket === null ? null : await buckets.get(bucket).catch(() => null);
  const account = found?.record.account ?? principal?.account;
  if (account === undefined) return;
  const used = { operation: classOf(record), status: statusOf(record), bytesIn, bytesOut };
  usage.record(account, found === null ? '' : found.record.name, used);
}

export function classOf({ operation, method }: Pick<RequestRecord, 'operation' | 'method'>): OperationClass {
  if (operation === null) return 'other';
  if (operation.startsWith('List')) return 'list';
  if (/^(?:Delete|Abort)/.test(operation)) return 'delete';
  if (method === 'GET' || method === 'HEAD') return 'read';
  return method === 'OPTIONS' ? 'other' : 'write';
}

function statusOf({ status, aborted }: RequestRecord): StatusClass {
  if (aborted) return 'aborted';
  if (status < 300) return '2xx';
  if (status < 400) return '3xx';
  return status < 500 ? '4xx' : '5xx';
}
