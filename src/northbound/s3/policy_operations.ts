/** The policy of a bucket, and whether that makes it public. */
import { SkerryError } from '../../core/errors.js';
import { matches, parsePattern, resolved } from '../../identity/policy_pattern.js';
import { bucketAcl, parseAcl } from './acl_document.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { knownPolicy, policy_kind, type KnownPolicy } from './bucket_policies.js';
import { S3Failure } from './errors.js';
import type { Exchange, Operation } from './exchange.js';
import type { Route } from './operations.js';
import { isPublicAcl, publicAccessBlock } from './public_access.js';
import { bucketFor } from './subjects.js';
import { element } from './xml_document.js';

/** A text that is over the limit of policies by little is told so in their words. */
const body_bytes_max = 64 * 1024;

const getBucketPolicy: Operation = {
  name: 'GetBucketPolicy',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetBucketPolicy');
    const text = await policyText(exchange, name);
    if (text === null) throw new S3Failure('NoSuchBucketPolicy', undefined, { details: { BucketName: name } });
    return { status: 200, headers: { 'content-type': 'application/json' }, body: text };
  },
};

const putBucketPolicy: Operation = {
  name: 'PutBucketPolicy',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketPolicy');
    const text = (await exchange.body.whole(body_bytes_max)).toString('utf8');
    const policy = readable(text);
    checkResources(text, name);
    const { buckets } = exchange.services.store;
    if (policy.public && (await publicAccessBlock(buckets, name)).blockPublicPolicy) throw new S3Failure('AccessDenied');
    await buckets.setDocument(name, policy_kind, Buffer.from(text));
    return emptyAnswer(204);
  },
};

const deleteBucketPolicy: Operation = {
  name: 'DeleteBucketPolicy',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:DeleteBucketPolicy');
    await exchange.services.store.buckets.setDocument(name, policy_kind, null);
    return emptyAnswer(204);
  },
};

const getBucketPolicyStatus: Operation = {
  name: 'GetBucketPolicyStatus',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:GetBucketPolicyStatus');
    return xmlAnswer('PolicyStatus', [element('IsPublic', await isPublic(exchange, name))]);
  },
};

export const policyOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['policy'], operation: getBucketPolicy },
  { target: 'bucket', method: 'PUT', query: ['policy'], operation: putBucketPolicy },
  { target: 'bucket', method: 'DELETE', query: ['policy'], operation: deleteBucketPolicy },
  { target: 'bucket', method: 'GET', query: ['policyStatus'], operation: getBucketPolicyStatus },
];

async function policyText({ services }: Exchange, bucket: string): Promise<string | null> {
  const bytes = await services.store.buckets.document(bucket, policy_kind);
  return bytes === null ? null : Buffer.from(bytes).toString('utf8');
}

function readable(text: string): KnownPolicy {
  try {
    return knownPolicy(text);
  } catch (error) {
    if (error instanceof SkerryError) throw new S3Failure('MalformedPolicy', error.message, { cause: error });
    throw error;
  }
}

/** A policy is for one bucket and its objects. One that was meant for another would do nothing, and nobody would notice. */
function checkResources(text: string, bucket: string): void {
  const { Statement } = JSON.parse(text) as { Statement: unknown };
  const statements = [Statement].flat() as { Resource?: string | string[]; NotResource?: string | string[] }[];
  const resources = statements.flatMap(({ Resource, NotResource }) => [Resource ?? [], NotResource ?? []].flat());
  if (!resources.every((resource) => meansBucket(resource, bucket)))
    throw new S3Failure('MalformedPolicy', 'Policy has invalid resource');
}

function meansBucket(resource: string, bucket: string): boolean {
  if (resource === '*') return true;
  const name = /^arn:[^:]*:s3:[^:]*:[^:]*:([^/]*)/.exec(resource)?.[1];
  if (name === undefined) return false;
  // What a variable stands for shows with the request.
  if (name.includes('${')) return true;
  const tokens = resolved(parsePattern(name, { wildcards: true, variables: false }), () => null);
  return tokens !== null && matches(tokens, bucket);
}

/** By its policy or its list, so far as these count. */
async function isPublic(exchange: Exchange, bucket: string): Promise<boolean> {
  const { buckets } = exchange.services.store;
  const { ignorePublicAcls, restrictPublicBuckets } = await publicAccessBlock(buckets, bucket);
  const text = await policyText(exchange, bucket);
  if (text !== null && !restrictPublicBuckets && knownPolicy(text).public) return true;
  const acl = ignorePublicAcls ? '' : await bucketAcl(buckets, bucket);
  return acl !== '' && isPublicAcl(parseAcl(acl));
}
