/** Object lock: of a bucket what is kept by default, of a version its retention and its legal hold. */
import { z } from 'zod';

import type { DefaultRetention, Retention } from '../../catalog/object_records.js';
import { emptyAnswer, xmlAnswer } from './answer.js';
import { readDocument, writeDocument, type DocumentKind } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import type { Exchange, Operation } from './exchange.js';
import type { Route } from './operations.js';
import { bucketFor, versionFor, type VersionSubject } from './subjects.js';
import { parseIsoTime } from './timestamp.js';
import { element } from './xml_document.js';
import { malformedXml, type XmlElement } from './xml_tree.js';

const days_per_year = 365;
const retention_days_max = 100 * days_per_year;

/** The bucket keeps days. Who gave years is told years. */
const lockYears: DocumentKind<{ readonly years: number }> = { kind: 'object-lock', schema: z.strictObject({ years: z.int() }) };

const getObjectLockConfiguration: Operation = {
  name: 'GetObjectLockConfiguration',
  async run(exchange) {
    const { name, objectLock, defaultRetention: kept } = await bucketFor(exchange, 's3:GetBucketObjectLockConfiguration');
    if (!objectLock) throw new S3Failure('ObjectLockConfigurationNotFoundError', undefined, { details: { BucketName: name } });
    const enabled = element('ObjectLockEnabled', 'Enabled');
    if (kept === null) return xmlAnswer('ObjectLockConfiguration', [enabled]);
    const given = await readDocument(exchange.services.store.buckets, name, lockYears);
    const inYears = given !== null && given.years * days_per_year === kept.days;
    const period = inYears ? element('Years', given.years) : element('Days', kept.days);
    const retention = element('DefaultRetention', [element('Mode', kept.mode.toUpperCase()), period]);
    return xmlAnswer('ObjectLockConfiguration', [enabled, element('Rule', [retention])]);
  },
};

const putObjectLockConfiguration: Operation = {
  name: 'PutObjectLockConfiguration',
  async run(exchange) {
    const { name } = await bucketFor(exchange, 's3:PutBucketObjectLockConfiguration');
    const root = await exchange.body.xml('ObjectLockConfiguration');
    root.required('ObjectLockEnabled').asOneOf(['Enabled']);
    const rule = root.optional('Rule')?.required('DefaultRetention');
    const given = rule === undefined ? null : defaultRetentionOf(rule);
    const { buckets } = exchange.services.store;
    await buckets.set(name, { objectLock: true, defaultRetention: given?.retention ?? null });
    await writeDocument(buckets, name, lockYears, given === null || given.years === null ? null : { years: given.years });
    return emptyAnswer();
  },
};

const getObjectRetention: Operation = {
  name: 'GetObjectRetention',
  async run(exchange) {
    const { version, headers } = await lockable(exchange, 's3:GetObjectRetention');
    const { retention } = version.attributes;
    if (retention === null) throw new S3Failure('NoSuchObjectLockConfiguration');
    const until = new Date(retention.until).toISOString();
    return xmlAnswer('Retention', [element('Mode', retention.mode.toUpperCase()), element('RetainUntilDate', until)], headers);
  },
};

const putObjectRetention: Operation = {
  name: 'PutObjectRetention',
  async run(exchange) {
    const subject = await lockable(exchange, 's3:PutObjectRetention');
    const bypass = await bypassesGovernance(exchange, subject);
    const retention = retentionOf(await exchange.body.xml('Retention'), exchange.services.now());
    const { name, version, headers } = subject;
    await exchange.services.store.objects.setRetention({ ...name, versionId: version.versionId }, retention, bypass);
    return emptyAnswer(200, headers);
  },
};

const getObjectLegalHold: Operation = {
  name: 'GetObjectLegalHold',
  async run(exchange) {
    const { version, headers } = await lockable(exchange, 's3:GetObjectLegalHold');
    return xmlAnswer('LegalHold', [element('Status', version.attributes.legalHold ? 'ON' : 'OFF')], headers);
  },
};

const putObjectLegalHold: Operation = {
  name: 'PutObjectLegalHold',
  async run(exchange) {
    const { name, version, headers } = await lockable(exchange, 's3:PutObjectLegalHold');
    const legalHold = (await exchange.body.xml('LegalHold')).required('Status').asOneOf(['ON', 'OFF']) === 'ON';
    await exchange.services.store.objects.setAttributes({ ...name, versionId: version.versionId }, { legalHold });
    return emptyAnswer(200, headers);
  },
};

export const lockOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['object-lock'], operation: getObjectLockConfiguration },
  { target: 'bucket', method: 'PUT', query: ['object-lock'], operation: putObjectLockConfiguration },
  { target: 'object', method: 'GET', query: ['retention'], operation: getObjectRetention },
  { target: 'object', method: 'PUT', query: ['retention'], operation: putObjectRetention },
  { target: 'object', method: 'GET', query: ['legal-hold'], operation: getObjectLegalHold },
  { target: 'object', method: 'PUT', query: ['legal-hold'], operation: putObjectLegalHold },
];

async function lockable(exchange: Exchange, action: string): Promise<VersionSubject> {
  const subject = await versionFor(exchange, { current: action, version: action });
  if (!subject.bucket.objectLock) throw new S3Failure('InvalidRequest', 'Bucket is missing Object Lock Configuration');
  return subject;
}

/** It must be asked for, and be allowed: else the header counts for nothing, and a retention under governance holds. */
async function bypassesGovernance(exchange: Exchange, { bucket, name }: VersionSubject): Promise<boolean> {
  if (exchange.request.headers.get('x-amz-bypass-governance-retention')?.toLowerCase() !== 'true') return false;
  const action = 's3:BypassGovernanceRetention';
  return exchange.services.access.allows(exchange, { action, bucket, key: name.key, grant: { of: 'owner' } });
}

function defaultRetentionOf(rule: XmlElement): { readonly retention: DefaultRetention; readonly years: number | null } {
  const mode = modeOf(rule.required('Mode'));
  const [days, years] = [rule.optional('Days'), rule.optional('Years')];
  const period = days ?? years;
  if (period === undefined || (days !== undefined && years !== undefined))
    throw malformedXml('DefaultRetention has either Days or Years');
  const count = /^-?\d{1,9}$/.test(period.asText().trim()) ? Number(period.asText()) : Number.NaN;
  if (Number.isNaN(count)) throw malformedXml(`${period.name} is not a number`);
  const inDays = years === undefined ? count : count * days_per_year;
  if (inDays <= 0) throw new S3Failure('InvalidRetentionPeriod', 'Default retention period must be a positive integer value');
  if (inDays > retention_days_max) throw new S3Failure('InvalidRetentionPeriod', 'Default retention period is too large');
  return { retention: { mode, days: inDays }, years: years === undefined ? null : count };
}

/** null: an empty one takes away what there is. */
function retentionOf(root: XmlElement, now: number): Retention | null {
  if (root.children.length === 0) return null;
  const mode = modeOf(root.required('Mode'));
  const until = parseIsoTime(root.required('RetainUntilDate').asText().trim());
  if (until === null) throw malformedXml('RetainUntilDate is no time');
  if (until <= now) throw new S3Failure('InvalidArgument', 'The retain until date must be in the future!');
  return { mode, until };
}

function modeOf(mode: XmlElement): Retention['mode'] {
  return mode.asOneOf(['GOVERNANCE', 'COMPLIANCE']) === 'GOVERNANCE' ? 'governance' : 'compliance';
}
