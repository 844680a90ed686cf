/** What browsers are told: before a request, by OPTIONS, and with its answer, so that a page may read it. */
import { isSkerryError } from '../../core/errors.js';
import type { Address } from './address.js';
import { emptyAnswer, type Answer } from './answer.js';
import { corsRules, ruleFor, type CorsRequest, type CorsRule } from './cors_document.js';
import { S3Failure } from './errors.js';
import type { S3Services } from './exchange.js';
import type { S3Request } from './request.js';

const vary = 'Origin, Access-Control-Request-Headers, Access-Control-Request-Method';

/** The answer to OPTIONS, which nobody signs. @throws S3Failure BadRequest, AccessForbidden, NoSuchBucket */
export async function preflight(request: S3Request, address: Address, { store }: Pick<S3Services, 'store'>): Promise<Answer> {
  const { headers } = request;
  if (!headers.has('origin')) throw new S3Failure('BadRequest', 'Insufficient information. Origin request header needed.');
  const method = headers.get('access-control-request-method');
  if (method === undefined) throw new S3Failure('BadRequest', 'Invalid Access-Control-Request-Method: null');
  const rules = address.bucket === null ? null : await corsRules(store.buckets, address.bucket);
  if (rules === null)
    throw new S3Failure('AccessForbidden', 'CORSResponse: CORS is not enabled for this bucket.', { details: { Method: method } });
  const wanted = wantedBy(request, method);
  const rule = ruleFor(rules, wanted);
  if (rule === undefined)
    throw new S3Failure(
      'AccessForbidden',
      'CORSResponse: This CORS request is not allowed: no rule of the bucket is for this Origin, method and these headers.',
      { details: { Method: method } },
    );
  return emptyAnswer(200, headersOf(rule, wanted));
}

/** For any other answer, be it a failure: nothing where no page asked, or no rule allows it. */
export async function corsHeaders(
  request: S3Request,
  { bucket }: Address,
  { store }: Pick<S3Services, 'store'>,
): Promise<Readonly<Record<string, string>>> {
  if (bucket === null || request.method === 'OPTIONS' || !request.headers.has('origin')) return {};
  const rules = await corsRules(store.buckets, bucket).catch(noneWithoutBucket);
  // Some clients say in the request itself what they asked for before.
  const method = request.headers.get('access-control-request-method') ?? request.method;
  const wanted = { ...wantedBy(request, method), headers: [] };
  const rule = rules === null ? undefined : ruleFor(rules, wanted);
  return rule === undefined ? {} : headersOf(rule, wanted);
}

function wantedBy({ headers }: S3Request, method: string): CorsRequest {
  const names = headers.get('access-control-request-headers') ?? '';
  return {
    origin: headers.get('origin') ?? '',
    method,
    headers: names
      .split(',')
      .map((name) => name.trim().toLowerCase())
      .filter((name) => name !== ''),
  };
}

function headersOf(
  { origins, methods, exposed, maxAgeSeconds }: CorsRule,
  { origin, headers }: CorsRequest,
): Record<string, string> {
  const anyone = origins.includes('*');
  return {
    'access-control-allow-origin': anyone ? '*' : origin,
    'access-control-allow-methods': methods.join(', '),
    ...(anyone ? {} : { 'access-control-allow-credentials': 'true' }),
    ...(headers.length === 0 ? {} : { 'access-control-allow-headers': headers.join(', ') }),
    ...(exposed.length === 0 ? {} : { 'access-control-expose-headers': exposed.join(', ') }),
    ...(maxAgeSeconds === null ? {} : { 'access-control-max-age': String(maxAgeSeconds) }),
    vary,
  };
}

/** The operation itself tells that. */
function noneWithoutBucket(error: unknown): null {
  if (isSkerryError(error, 'not-found')) return null;
  throw error;
}
