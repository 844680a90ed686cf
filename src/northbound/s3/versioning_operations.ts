/** Whether a bucket keeps versions. */
import { emptyAnswer, xmlAnswer } from './answer.js';
import { S3Failure } from './errors.js';
import type { Operation } from './exchange.js';
import type { Route } from './operations.js';
import { bucketFor } from './subjects.js';
import { element } from './xml_document.js';

const words = { Enabled: 'enabled', Suspended: 'suspended' } as const;

const getBucketVersioning: Operation = {
  name: 'GetBucketVersioning',
  async run(exchange) {
    const { versioning } = await bucketFor(exchange, 's3:GetBucketVersioning');
    const status = versioning === 'enabled' ? 'Enabled' : 'Suspended';
    return xmlAnswer('VersioningConfiguration', versioning === 'never' ? [] : [element('Status', status)]);
  },
};

const putBucketVersioning: Operation = {
  name: 'PutBucketVersioning',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketVersioning');
    const root = await exchange.body.xml('VersioningConfiguration');
    // Nobody has a second factor here, so a bucket that asks for one could never be emptied.
    if (root.optional('MfaDelete')?.asOneOf(['Enabled', 'Disabled']) === 'Enabled') throw new S3Failure('NotImplemented');
    const status = root.optional('Status')?.asOneOf(['Enabled', 'Suspended']);
    if (status === undefined) throw new S3Failure('IllegalVersioningConfigurationException');
    await exchange.services.store.buckets.set(name, { versioning: words[status] });
    return emptyAnswer();
  },
};

export const versioningOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['versioning'], operation: getBucketVersioning },
  { target: 'bucket', method: 'PUT', query: ['versioning'], operation: putBucketVersioning },
];
