/**
 * Settings that Skerry does not have, though clients ask for them: those are told that nothing is set, in the words that AWS has for that.
 * Setting them is refused, but for what changes nothing.
 */
import { emptyAnswer, xmlAnswer, type Answer } from './answer.js';
import type { S3ErrorCode } from './error_codes.js';
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import type { Route } from './operations.js';
import { bucketFor } from './subjects.js';
import { element, type XmlContent } from './xml_document.js';
import type { XmlElement } from './xml_tree.js';

interface Unused {
  readonly query: string;
  /** As operations and actions end. */
  readonly name: string;
  readonly action: string;
  readonly root: string;
  /** What is told: that it is as it always is, or that there is none. */
  readonly unset: { readonly content: XmlContent } | { readonly code: S3ErrorCode };
  /** What is put and says no more than what holds anyway. */
  readonly harmless: (root: XmlElement) => boolean;
  readonly removable: boolean;
}

const isEmpty = (root: XmlElement): boolean => root.children.length === 0;
const never = (): boolean => false;

const unused: readonly Unused[] = [
  {
    query: 'requestPayment',
    name: 'RequestPayment',
    action: 'BucketRequestPayment',
    root: 'RequestPaymentConfiguration',
    unset: { content: [element('Payer', 'BucketOwner')] },
    harmless: (root) => root.required('Payer').asOneOf(['BucketOwner', 'Requester']) === 'BucketOwner',
    removable: false,
  },
  {
    query: 'logging',
    name: 'Logging',
    action: 'BucketLogging',
    root: 'BucketLoggingStatus',
    unset: { content: [] },
    harmless: isEmpty,
    removable: false,
  },
  {
    query: 'accelerate',
    name: 'AccelerateConfiguration',
    action: 'AccelerateConfiguration',
    root: 'AccelerateConfiguration',
    unset: { content: [] },
    harmless: (root) => root.required('Status').asOneOf(['Enabled', 'Suspended']) === 'Suspended',
    removable: false,
  },
  {
    query: 'website',
    name: 'Website',
    action: 'BucketWebsite',
    root: 'WebsiteConfiguration',
    unset: { code: 'NoSuchWebsiteConfiguration' },
    harmless: never,
    removable: true,
  },
  {
    query: 'replication',
    name: 'Replication',
    action: 'ReplicationConfiguration',
    root: 'ReplicationConfiguration',
    unset: { code: 'ReplicationConfigurationNotFoundError' },
    harmless: never,
    removable: true,
  },
];

export const unusedOperations: readonly Route[] = unused.flatMap((one) => [
  { target: 'bucket', method: 'GET', query: [one.query], operation: getting(one) },
  { target: 'bucket', method: 'PUT', query: [one.query], operation: putting(one) },
  ...(one.removable ? [{ target: 'bucket', method: 'DELETE', query: [one.query], operation: removing(one) } as const] : []),
]);

function getting({ name, action, root, unset }: Unused): Operation {
  return {
    name: `GetBucket${name}`,
    async run(exchange): Promise<Answer> {
      const bucket = await bucketFor(exchange, `s3:Get${action}`);
      if ('code' in unset) throw new S3Failure(unset.code, undefined, { details: { BucketName: bucket.name } });
      return xmlAnswer(root, unset.content);
    },
  };
}

function putting({ name, action, root, harmless }: Unused): Operation {
  const operation = `PutBucket${name}`;
  return {
    name: operation,
    async run(exchange): Promise<Answer> {
      await bucketFor(exchange, `s3:Put${action}`);
      if (!harmless(await exchange.body.xml(root))) throw new S3Failure('NotImplemented', `${operation} is not implemented.`);
      return emptyAnswer();
    },
  };
}

function removing({ name, action }: Unused): Operation {
  return {
    name: `DeleteBucket${name}`,
    async run(exchange): Promise<Answer> {
      await bucketFor(exchange, action === 'BucketWebsite' ? 's3:DeleteBucketWebsite' : `s3:Put${action}`);
      return emptyAnswer(204);
    },
  };
}
