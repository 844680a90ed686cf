/** What a request has for conditions of policies (`s3:prefix`, `aws:SourceIp`): from its headers, its query, and who sent it. */
import type { PolicyContext } from '../../identity/policy_conditions.js';
import { policyContext } from '../../identity/policy_evaluation.js';
import type { Scheme } from './authenticator.js';
import { plainAddress, type Exchange } from './exchange.js';
import { Query } from './query.js';

const headerKeys = [
  'x-amz-acl',
  'x-amz-copy-source',
  'x-amz-content-sha256',
  'x-amz-grant-read',
  'x-amz-grant-write',
  'x-amz-grant-read-acp',
  'x-amz-grant-write-acp',
  'x-amz-grant-full-control',
  'x-amz-metadata-directive',
  'x-amz-object-ownership',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-storage-class',
  'x-amz-website-redirect-location',
] as const;

const otherHeaders: Readonly<Record<string, string>> = {
  'x-amz-object-lock-mode': 's3:object-lock-mode',
  'x-amz-object-lock-retain-until-date': 's3:object-lock-retain-until-date',
  'x-amz-object-lock-legal-hold': 's3:object-lock-legal-hold',
  'if-match': 's3:if-match',
  'if-none-match': 's3:if-none-match',
};

const queryKeys: Readonly<Record<string, string>> = {
  prefix: 's3:prefix',
  delimiter: 's3:delimiter',
  'max-keys': 's3:max-keys',
  versionId: 's3:VersionId',
};

const authTypes: Readonly<Record<Scheme, string>> = {
  'v4-header': 'REST-HEADER',
  'v4-presigned': 'REST-QUERY-STRING',
  'v4-post': 'POST',
  'v2-header': 'REST-HEADER',
  'v2-presigned': 'REST-QUERY-STRING',
  'v2-post': 'POST',
};

/** `more`: of the operation. It goes before what the request says. */
export function requestContext(
  exchange: Exchange,
  more: Readonly<Record<string, string | readonly string[]>> = {},
): PolicyContext {
  const { request, caller, clientAddress, services } = exchange;
  const { headers, query } = request;
  const keys: Record<string, string | readonly string[]> = {};
  const set = (key: string, value: string | undefined): void => {
    if (value !== undefined) keys[key] = value;
  };
  for (const name of headerKeys) set(`s3:${name}`, headers.get(name));
  for (const [name, key] of Object.entries(otherHeaders)) set(key, headers.get(name));
  for (const [name, key] of Object.entries(queryKeys)) set(key, query.all(name)[0]);
  Object.assign(keys, requestedTags(headers.get('x-amz-tagging')));
  if (caller !== null) {
    keys['s3:signatureversion'] = caller.scheme.startsWith('v2') ? 'AWS' : 'AWS4-HMAC-SHA256';
    keys['s3:authType'] = authTypes[caller.scheme];
  }
  const userAgent = headers.get('user-agent');
  const referer = headers.get('referer');
  return policyContext({
    requester: caller?.principal ?? null,
    // No range of a policy means the longer form.
    sourceIp: plainAddress(clientAddress),
    secure: request.secure,
    now: services.now(),
    ...(userAgent === undefined ? {} : { userAgent }),
    ...(referer === undefined ? {} : { referer }),
    more: { ...keys, ...more },
  });
}

/** Of tags that a request brings. */
export function tagContext(tags: Iterable<readonly [key: string, value: string]>): Record<string, string | readonly string[]> {
  const all = [...tags];
  if (all.length === 0) return {};
  return {
    ...Object.fromEntries(all.map(([key, value]) => [`s3:RequestObjectTag/${key}`, value])),
    's3:RequestObjectTagKeys': all.map(([key]) => key),
  };
}

/** A header that is none is refused by who stores it; no condition holds of it. */
function requestedTags(header: string | undefined): Record<string, string | readonly string[]> {
  if (header === undefined) return {};
  try {
    return tagContext(new Query(header).parameters.map(({ name, value }) => [name, value]));
  } catch {
    return {};
  }
}
