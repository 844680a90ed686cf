/** Which operation a request means: by what it is for, its method, and the sub-resource in its query. */
import type { Address } from './address.js';
import { bucketOperations } from './bucket_operations.js';
import { configurationOperations } from './configuration_operations.js';
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import { listOperations } from './list_operations.js';
import { objectOperations } from './object_operations.js';
import type { S3Request } from './request.js';
import { refuseUnheeded } from './unheeded.js';
import { uploadOperations } from './upload_operations.js';

/** A row of the table. The first that fits is meant. */
export interface Route {
  readonly target: 'service' | 'bucket' | 'object';
  readonly method: string;
  /** Query parameters that must all be there: `['uploadId', 'partNumber']`. */
  readonly query?: readonly string[];
  /** A header that must be there. */
  readonly header?: string;
  readonly operation: Operation;
}

/** Those with more words in their query come before those with fewer. */
const routes: readonly Route[] = [
  ...uploadOperations,
  ...configurationOperations,
  ...listOperations,
  ...objectOperations,
  ...bucketOperations,
].sort((a, b) => specificity(b) - specificity(a));
const routesOf = Map.groupBy(routes, ({ target, method }) => `${method} ${target}`);
/** The same without those that want something of the query: most requests have none. */
const plainRoutesOf = Map.groupBy(
  routes.filter(({ query = [] }) => query.length === 0),
  ({ target, method }) => `${method} ${target}`,
);

/**
 * Names in a query that choose an operation, whether there is one here or not: a request that has one is never taken for the plain one, or
 * `DELETE /bucket?replication` would delete the bucket.
 */
const subresources = new Set(
  (
    'abac accelerate acl analytics annotation append attributes cors delete encryption intelligent-tiering inventory legal-hold lifecycle ' +
    'location logging metadataAnnotationTable metadataConfiguration metadataInventoryTable metadataJournalTable metadataTable metrics ' +
    'notification object-lock ownershipControls policy policyStatus publicAccessBlock renameObject replication requestPayment restore ' +
    'retention select session tagging torrent uploads uploadId versioning versions website'
  ).split(' '),
);

/** @throws S3Failure NotImplemented, MethodNotAllowed */
export function operationOf(request: S3Request, address: Address): Operation {
  const target = address.bucket === null ? 'service' : address.key === null ? 'bucket' : 'object';
  const candidates = request.query.parameters.length === 0 ? plainRoutesOf : routesOf;
  const found = candidates.get(`${request.method} ${target}`)?.find((route) => fits(route, request));
  const wanted = request.query.parameters.filter(({ name }) => subresources.has(name)).map(({ name }) => name);
  if (found !== undefined && wanted.every((name) => found.query?.includes(name) === true)) {
    refuseUnheeded(request, found.operation.name);
    return found.operation;
  }
  if (wanted.length > 0 && !routes.some((route) => route.target === target && isOf(route, wanted)))
    throw new S3Failure('NotImplemented');
  throw new S3Failure('MethodNotAllowed', undefined, { details: { Method: request.method, ResourceType: target.toUpperCase() } });
}

function fits({ query = [], header }: Route, request: S3Request): boolean {
  return query.every((name) => request.query.has(name)) && (header === undefined || request.headers.has(header));
}

/** Whether a route is of those sub-resources, by whatever method. */
function isOf({ query = [] }: Route, wanted: readonly string[]): boolean {
  return wanted.every((name) => query.includes(name));
}

function specificity({ query = [], header }: Route): number {
  return query.length * 2 + (header === undefined ? 0 : 1);
}
