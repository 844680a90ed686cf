/** The scope of a signature of version 4: a key signs for one day, region and service, so what leaks is worth little elsewhere. */
import type { S3Failure } from './errors.js';

export interface Scope {
  /** `20130524`. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
  readonly terminal: string;
}

export interface Credential {
  readonly accessKey: string;
  readonly scope: Scope;
}

/** `AKID/20130524/us-east-1/s3/aws4_request`; null where it is none. An access key may hold slashes. */
export function parseCredential(text: string): Credential | null {
  const parts = text.split('/');
  if (parts.length < 5) return null;
  const [date, region, service, terminal] = parts.slice(-4);
  const accessKey = parts.slice(0, -4).join('/');
  if (accessKey === '' || date === undefined || region === undefined || service === undefined || terminal === undefined)
    return null;
  return { accessKey, scope: { date, region, service, terminal } };
}

export function scopeText({ date, region, service, terminal }: Scope): string {
  return `${date}/${region}/${service}/${terminal}`;
}

/** Makes the failure of the form that the scope came in: of the header, or of the query. */
export type ScopeRefusal = (message: string, details?: Record<string, string>) => S3Failure;

/** @throws what `refuse` makes, where the scope is not one for us at `timestamp` */
export function checkScope(scope: Scope, region: string, timestamp: string, refuse: ScopeRefusal): void {
  if (!/^\d{8}$/.test(scope.date))
    throw refuse(`incorrect date format "${scope.date}". This date in the credential must be in the format "yyyyMMdd".`);
  if (scope.terminal !== 'aws4_request')
    throw refuse(`incorrect terminal "${scope.terminal}". This endpoint uses "aws4_request".`);
  if (scope.service !== 's3') throw refuse(`incorrect service "${scope.service}". This endpoint belongs to "s3".`);
  if (scope.region !== region) throw refuse(`the region '${scope.region}' is wrong; expecting '${region}'`, { Region: region });
  if (!timestamp.startsWith(`${scope.date}T`))
    throw refuse(`Invalid credential date "${scope.date}". This date is not the same as X-Amz-Date: "${timestamp.slice(0, 8)}".`);
}
