/** Access control lists of buckets and objects: told, and set by a document, a canned list or grants in headers. */
import type { Acl } from '../../identity/acl.js';
import { bucketAcl, decodeAcl, encodeAcl, setBucketAcl } from './acl_document.js';
import { givenAcl, refusePublic, saysAcl } from './acl_headers.js';
import { aclOfXml, aclXml } from './acl_xml.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { S3Failure } from './errors.js';
import { causeOf, type Exchange, type Operation } from './exchange.js';
import { objectOwnership } from './object_ownership.js';
import type { Route } from './operations.js';
import { bucketFor, versionFor } from './subjects.js';

const getBucketAcl: Operation = {
  name: 'GetBucketAcl',
  async run(exchange) {
    const { account, name } = await bucketFor(exchange, 's3:GetBucketAcl', 'READ_ACP');
    const text = await bucketAcl(exchange.services.store.buckets, name);
    return xmlAnswer('AccessControlPolicy', await aclXml(exchange, decodeAcl(text, await canonicalId(exchange, account))));
  },
};

const putBucketAcl: Operation = {
  name: 'PutBucketAcl',
  async run(exchange) {
    const { account, name } = await bucketFor(exchange, 's3:PutBucketAcl', 'WRITE_ACP');
    await refuseWhereNoneCount(exchange, name);
    const owner = await canonicalId(exchange, account);
    const acl = await requestedAcl(exchange, owner, owner);
    await refusePublic(exchange, name, acl);
    await setBucketAcl(exchange.services.store.buckets, name, encodeAcl(acl));
    return emptyAnswer();
  },
};

const getObjectAcl: Operation = {
  name: 'GetObjectAcl',
  async run(exchange) {
    const { bucket, version, headers } = await versionFor(exchange, {
      current: 's3:GetObjectAcl',
      version: 's3:GetObjectVersionAcl',
      permission: 'READ_ACP',
    });
    const { acl, owner } = version.attributes;
    const enforced = await isEnforced(exchange, bucket.name);
    const shown = enforced
      ? decodeAcl('', await canonicalId(exchange, bucket.account))
      : decodeAcl(acl, await canonicalId(exchange, owner));
    return xmlAnswer('AccessControlPolicy', await aclXml(exchange, shown), headers);
  },
};

const putObjectAcl: Operation = {
  name: 'PutObjectAcl',
  async run(exchange) {
    const { bucket, name, version, headers } = await versionFor(exchange, {
      current: 's3:PutObjectAcl',
      version: 's3:PutObjectVersionAcl',
      permission: 'WRITE_ACP',
    });
    await refuseWhereNoneCount(exchange, bucket.name);
    const owner = await canonicalId(exchange, version.attributes.owner);
    const acl = await requestedAcl(exchange, owner, await canonicalId(exchange, bucket.account));
    await refusePublic(exchange, bucket.name, acl);
    const place = { ...name, versionId: version.versionId };
    await exchange.services.store.objects.setAttributes(place, { acl: encodeAcl(acl) }, causeOf(exchange));
    return emptyAnswer(200, headers);
  },
};

export const aclOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['acl'], operation: getBucketAcl },
  { target: 'bucket', method: 'PUT', query: ['acl'], operation: putBucketAcl },
  { target: 'object', method: 'GET', query: ['acl'], operation: getObjectAcl },
  { target: 'object', method: 'PUT', query: ['acl'], operation: putObjectAcl },
];

async function requestedAcl(exchange: Exchange, owner: string, bucketOwner: string): Promise<Acl> {
  const given = await givenAcl(exchange, { canonicalId: owner }, { canonicalId: bucketOwner });
  const root = await exchange.body.optionalXml('AccessControlPolicy');
  if (root === null) {
    if (given === null) throw new S3Failure('MissingSecurityHeader', undefined, { details: { MissingHeaderName: 'x-amz-acl' } });
    return given;
  }
  if (saysAcl(exchange.request)) throw new S3Failure('UnexpectedContent');
  return aclOfXml(exchange, root, owner);
}

async function refuseWhereNoneCount(exchange: Exchange, bucket: string): Promise<void> {
  if (await isEnforced(exchange, bucket)) throw new S3Failure('AccessControlListNotSupported');
}

async function isEnforced({ services }: Exchange, bucket: string): Promise<boolean> {
  return (await objectOwnership(services.store.buckets, bucket)) === 'BucketOwnerEnforced';
}

async function canonicalId({ services }: Exchange, account: number): Promise<string> {
  return (await services.accounts.get(account)).canonicalId;
}
