/** Rules by which objects end: their XML, and as a bucket keeps them. What Skerry does not do (transitions) is refused. */
import { randomBytes } from 'node:crypto';

import { z } from 'zod';

import { expiryOf, type LifecycleFilter, type LifecycleRule } from '../../object/lifecycle.js';
import type { Version } from '../../object/object_version.js';
import { readDocument, type BucketDocuments, type DocumentKind } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import { parseIsoTime } from './timestamp.js';
import { malformedXml, type XmlElement } from './xml_tree.js';

const lifecycle_rules_max = 1000;
const id_characters_max = 255;
const kept_versions_max = 100;
const day_milliseconds = 86_400_000;

/** How the rule said what it is for, so that it is told as it was given: an old Prefix of the rule, a Filter, or a Filter with And. */
export const filterForms = ['prefix', 'filter', 'and'] as const;

export interface WrittenRule {
  readonly form: (typeof filterForms)[number];
  readonly rule: LifecycleRule;
}

const count = z.int().nonnegative();
export const lifecycleDocument: DocumentKind<readonly WrittenRule[]> = {
  kind: 'lifecycle',
  schema: z.array(
    z.strictObject({
      form: z.enum(filterForms),
      rule: z.strictObject({
        id: z.string(),
        enabled: z.boolean(),
        filter: z.strictObject({
          prefix: z.string().exactOptional(),
          tags: z.record(z.string(), z.string()).exactOptional(),
          bytesAbove: count.exactOptional(),
          bytesBelow: count.exactOptional(),
        }),
        expiration: z
          .strictObject({
            days: count.exactOptional(),
            at: z.int().exactOptional(),
            deleteMarkers: z.boolean().exactOptional(),
          })
          .exactOptional(),
        noncurrent: z.strictObject({ days: count, kept: count.exactOptional() }).exactOptional(),
        abortDays: count.exactOptional(),
      }),
    }),
  ),
};

/** For whoever carries them out; none where none were set. */
export async function lifecycleRules(
  buckets: Pick<BucketDocuments, 'document'>,
  bucket: string,
): Promise<readonly LifecycleRule[]> {
  return ((await readDocument(buckets, bucket, lifecycleDocument)) ?? []).map(({ rule }) => rule);
}

/** When the rules of the bucket end what is current, for an answer about it. */
export async function expirationHeaders(
  buckets: Pick<BucketDocuments, 'document'>,
  bucket: string,
  { key, bytes, modifiedAt, attributes }: Pick<Version, 'key' | 'bytes' | 'modifiedAt' | 'attributes'>,
): Promise<Record<string, string>> {
  const rules = await lifecycleRules(buckets, bucket);
  const expiry = expiryOf(rules, { key, bytes, modifiedAt, tags: attributes.tags });
  if (expiry === null) return {};
  const date = new Date(expiry.at).toUTCString();
  return { 'x-amz-expiration': `expiry-date="${date}", rule-id="${encodeURIComponent(expiry.rule)}"` };
}

/** @throws S3Failure MalformedXML, InvalidArgument, InvalidRequest, NotImplemented */
export function parseLifecycle(root: XmlElement): readonly WrittenRule[] {
  const rules = root.all('Rule').map(ruleOf);
  if (rules.length === 0 || rules.length > lifecycle_rules_max) throw malformedXml(`there are 1 to ${lifecycle_rules_max} rules`);
  if (new Set(rules.map(({ rule }) => rule.id)).size < rules.length)
    throw new S3Failure('InvalidArgument', 'Rule ID must be unique. Found same ID for one or more rules');
  return rules;
}

function ruleOf(root: XmlElement): WrittenRule {
  const { form, filter } = scopeOf(root);
  refuseTransitions(root);
  const expiration = root.optional('Expiration');
  const noncurrent = root.optional('NoncurrentVersionExpiration');
  const abort = root.optional('AbortIncompleteMultipartUpload');
  if (expiration === undefined && noncurrent === undefined && abort === undefined)
    throw new S3Failure('InvalidRequest', 'At least one action needs to be specified in a rule');
  const rule: LifecycleRule = {
    id: idOf(root),
    enabled: root.required('Status').asOneOf(['Enabled', 'Disabled']) === 'Enabled',
    filter,
    ...(expiration === undefined ? {} : { expiration: expirationOf(expiration) }),
    ...(noncurrent === undefined ? {} : { noncurrent: noncurrentOf(noncurrent) }),
    ...(abort === undefined ? {} : { abortDays: positive(abort.required('DaysAfterInitiation'), abort) }),
  };
  const ofTags = filter.tags !== undefined;
  if (ofTags && rule.expiration?.deleteMarkers !== undefined)
    throw new S3Failure('InvalidRequest', 'ExpiredObjectDeleteMarker cannot be specified with Tags.');
  if (abort !== undefined && (ofTags || filter.bytesAbove !== undefined || filter.bytesBelow !== undefined))
    throw new S3Failure('InvalidRequest', 'AbortIncompleteMultipartUpload cannot be specified with Tags or object sizes.');
  return { form, rule };
}

function idOf(root: XmlElement): string {
  const given = root.optional('ID')?.asText() ?? '';
  if (given.length > id_characters_max)
    throw new S3Failure('InvalidArgument', `ID length should not exceed allowed limit of ${id_characters_max}`);
  return given === '' ? randomBytes(24).toString('base64url') : given;
}

function scopeOf(root: XmlElement): { readonly form: WrittenRule['form']; readonly filter: LifecycleFilter } {
  const prefix = root.optional('Prefix');
  const filter = root.optional('Filter');
  if (prefix !== undefined && filter !== undefined) throw malformedXml('a Rule has a Filter or a Prefix, not both');
  if (prefix !== undefined) return { form: 'prefix', filter: { prefix: prefix.asText() } };
  if (filter === undefined) throw malformedXml('a Rule has a Filter');
  const and = filter.optional('And');
  if (filter.children.length > 1) throw malformedXml('a Filter of several has And');
  return and === undefined ? { form: 'filter', filter: filterOf(filter) } : { form: 'and', filter: filterOf(and) };
}

function filterOf(root: XmlElement): LifecycleFilter {
  const tags = root.all('Tag').map((tag): [string, string] => [tag.required('Key').asText(), tag.required('Value').asText()]);
  if (new Set(tags.map(([key]) => key)).size < tags.length)
    throw new S3Failure('InvalidRequest', 'Duplicate Tag Keys are not allowed.');
  const prefix = root.optional('Prefix')?.asText();
  const bytesAbove = root.optional('ObjectSizeGreaterThan')?.asInteger();
  const bytesBelow = root.optional('ObjectSizeLessThan')?.asInteger();
  if (bytesAbove !== undefined && bytesBelow !== undefined && bytesAbove >= bytesBelow)
    throw new S3Failure('InvalidRequest', "'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.");
  return {
    ...(prefix === undefined ? {} : { prefix }),
    ...(tags.length === 0 ? {} : { tags: Object.fromEntries(tags) }),
    ...(bytesAbove === undefined ? {} : { bytesAbove }),
    ...(bytesBelow === undefined ? {} : { bytesBelow }),
  };
}

function expirationOf(root: XmlElement): NonNullable<LifecycleRule['expiration']> {
  if (root.children.length !== 1) throw malformedXml('Expiration has one of Days, Date and ExpiredObjectDeleteMarker');
  const date = root.optional('Date');
  if (date !== undefined) return { at: midnight(date) };
  const markers = root.optional('ExpiredObjectDeleteMarker');
  if (markers !== undefined) return { deleteMarkers: markers.asBoolean() };
  return { days: positive(root.required('Days'), root) };
}

function noncurrentOf(root: XmlElement): NonNullable<LifecycleRule['noncurrent']> {
  const days = positive(root.required('NoncurrentDays'), root);
  const kept = root.optional('NewerNoncurrentVersions');
  if (kept === undefined) return { days };
  const versions = positive(kept, root);
  if (versions > kept_versions_max)
    throw new S3Failure('InvalidArgument', `'NewerNoncurrentVersions' must be between 1 and ${kept_versions_max}`);
  return { days, kept: versions };
}

/** There is one class of storage. What is wrong about the dates is told first, as it is where there are several. */
function refuseTransitions(root: XmlElement): void {
  const transitions = [...root.all('Transition'), ...root.all('NoncurrentVersionTransition')];
  if (transitions.length === 0) return;
  for (const transition of transitions) {
    const date = transition.optional('Date');
    if (date !== undefined) midnight(date);
  }
  throw new S3Failure('NotImplemented', 'Transitions to other storage classes are not implemented');
}

function positive(number: XmlElement, { name: action }: XmlElement): number {
  const days = number.asInteger();
  if (days === 0) throw new S3Failure('InvalidArgument', `'${number.name}' for ${action} action must be a positive integer`);
  if (days > 2 ** 31 - 1) throw malformedXml(`${number.name} is too large`);
  return days;
}

function midnight(date: XmlElement): number {
  const time = parseIsoTime(date.asText().trim());
  if (time === null) throw malformedXml('Date is no time');
  if (time % day_milliseconds !== 0) throw new S3Failure('InvalidArgument', "'Date' must be at midnight GMT");
  return time;
}
