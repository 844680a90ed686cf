/** Which events of a bucket somebody wants to hear of: their XML, as a bucket keeps them, and which of them a change meets. */
import { randomBytes } from 'node:crypto';

import { z } from 'zod';

import type { NoticeKind } from '../../catalog/notice_record.js';
import type { Subscription } from '../../object/notices.js';
import { readDocument, type BucketDocuments, type DocumentKind } from './bucket_documents.js';
import { S3Failure } from './errors.js';
import { element, type XmlContent, type XmlNode } from './xml_document.js';
import { malformedXml, type XmlElement } from './xml_tree.js';

const rules_max = 100;
const id_characters_max = 255;
const filter_bytes_max = 1024;

/** As AWS calls them. A test is not asked for: it comes when rules are set. */
const eventNames: Readonly<Record<Exclude<NoticeKind, 'test'>, string>> = {
  put: 's3:ObjectCreated:Put',
  form: 's3:ObjectCreated:Post',
  copy: 's3:ObjectCreated:Copy',
  upload: 's3:ObjectCreated:CompleteMultipartUpload',
  removed: 's3:ObjectRemoved:Delete',
  marked: 's3:ObjectRemoved:DeleteMarkerCreated',
  expired: 's3:LifecycleExpiration:Delete',
  'expired-marked': 's3:LifecycleExpiration:DeleteMarkerCreated',
  tagged: 's3:ObjectTagging:Put',
  untagged: 's3:ObjectTagging:Delete',
  granted: 's3:ObjectAcl:Put',
};
const allNames = Object.values(eventNames);
const known = new Set([...allNames, ...allNames.map((name) => name.replace(/:[^:]*$/, ':*'))]);

/** What AWS sends events to; here all are webhooks, and a rule is told as it was given. */
const kinds = {
  queue: { rule: 'QueueConfiguration', arn: 'Queue', service: 'sqs' },
  topic: { rule: 'TopicConfiguration', arn: 'Topic', service: 'sns' },
} as const;
type Kind = keyof typeof kinds;

export interface NotificationRule {
  readonly kind: Kind;
  readonly id: string;
  /** Name of a webhook. */
  readonly webhook: string;
  readonly events: readonly string[];
  /** Of keys; '' is all. */
  readonly prefix: string;
  readonly suffix: string;
}

export const notificationDocument: DocumentKind<readonly NotificationRule[]> = {
  kind: 'notification',
  schema: z.array(
    z.strictObject({
      kind: z.enum(['queue', 'topic']),
      id: z.string(),
      webhook: z.string(),
      events: z.array(z.string()),
      prefix: z.string(),
      suffix: z.string(),
    }),
  ),
};

/** What AWS calls the kind, without `s3:`. */
export function eventName(kind: Exclude<NoticeKind, 'test'>): string {
  return eventNames[kind].slice('s3:'.length);
}

/** For whoever writes notices. @throws SkerryError not-found where the bucket has gone, corrupt */
export async function subscriptionsTo(
  buckets: Pick<BucketDocuments, 'document'>,
  bucket: string,
  kind: NoticeKind,
  key: string,
): Promise<readonly Subscription[]> {
  if (kind === 'test') return [];
  const rules = (await readDocument(buckets, bucket, notificationDocument)) ?? [];
  return rules
    .filter(({ events, prefix, suffix }) => {
      const wanted = events.some((event) => covers(event, eventNames[kind]));
      return wanted && key.startsWith(prefix) && key.endsWith(suffix);
    })
    .map(({ webhook, id }) => ({ receiver: webhook, rule: id }));
}

/** @throws S3Failure MalformedXML, InvalidArgument, NotImplemented */
export function parseNotification(root: XmlElement, region: string, webhooks: readonly string[]): readonly NotificationRule[] {
  if (root.optional('EventBridgeConfiguration') !== undefined) throw new S3Failure('NotImplemented');
  const strange = root.children.find(({ name }) => !ruleNames.has(name));
  if (strange !== undefined) throw malformedXml(`there is no ${strange.name}`);
  const functions = root.all('CloudFunctionConfiguration').map((rule) => rule.required('CloudFunction').asText().trim());
  if (functions[0] !== undefined) throw noDestination(functions[0]);
  const rules = Object.entries(kinds).flatMap(([kind, { rule }]) =>
    root.all(rule).map((each) => ruleOf(each, kind as Kind, region, webhooks)),
  );
  if (rules.length > rules_max) throw invalid(`A notification configuration has at most ${rules_max} rules`);
  if (new Set(rules.map(({ id }) => id)).size < rules.length)
    throw invalid('Same ID used for multiple configurations. IDs must be unique');
  rules.forEach((rule, at) => {
    if (rules.slice(0, at).some((before) => overlap(before, rule)))
      throw invalid(
        'Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are overlapping for the same event type.',
      );
  });
  return rules;
}

export function notificationXml(rules: readonly NotificationRule[], region: string): XmlContent {
  return rules.map(({ kind, id, webhook, events, prefix, suffix }) =>
    element(kinds[kind].rule, [
      element('Id', id),
      element(kinds[kind].arn, arnOf(kind, region, webhook)),
      ...events.map((event) => element('Event', event)),
      ...filterXml({ prefix, suffix }),
    ]),
  );
}

function filterXml(filter: Pick<NotificationRule, 'prefix' | 'suffix'>): XmlNode[] {
  const rules = Object.entries(filter)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => element('FilterRule', [element('Name', name), element('Value', value)]));
  return rules.length === 0 ? [] : [element('Filter', [element('S3Key', rules)])];
}

const ruleNames = new Set(['QueueConfiguration', 'TopicConfiguration', 'CloudFunctionConfiguration', 'EventBridgeConfiguration']);

function ruleOf(root: XmlElement, kind: Kind, region: string, webhooks: readonly string[]): NotificationRule {
  const arn = root.required(kinds[kind].arn).asText().trim();
  const webhook = webhooks.find((name) => arnOf(kind, region, name) === arn);
  if (webhook === undefined) throw noDestination(arn);
  const events = root.all('Event').map((event) => event.asText().trim());
  if (events.length === 0) throw malformedXml(`${root.name} has no Event`);
  const strange = events.find((event) => !known.has(event));
  if (strange !== undefined) throw invalid(`The event is not supported for notifications: ${strange.slice(0, 80)}`);
  const given = root.optional('Id')?.asText().trim() ?? '';
  if (given.length > id_characters_max) throw invalid(`Id length should not exceed allowed limit of ${id_characters_max}`);
  const id = given === '' ? randomBytes(24).toString('base64url') : given;
  return { kind, id, webhook, events: [...new Set(events)], ...filterOf(root.optional('Filter')?.optional('S3Key')) };
}

function filterOf(root: XmlElement | undefined): Pick<NotificationRule, 'prefix' | 'suffix'> {
  const filter = new Map<string, string>();
  for (const rule of root?.all('FilterRule') ?? []) {
    const name = rule.required('Name').asText().trim().toLowerCase();
    const value = rule.required('Value').asText();
    if (name !== 'prefix' && name !== 'suffix') throw invalid('filter rule name must be either prefix or suffix');
    if (filter.has(name)) throw invalid(`Cannot specify more than one ${name} rule in a filter.`);
    if (Buffer.byteLength(value) > filter_bytes_max)
      throw invalid(`Size of filter rule value cannot exceed ${filter_bytes_max} bytes`);
    filter.set(name, value);
  }
  return { prefix: filter.get('prefix') ?? '', suffix: filter.get('suffix') ?? '' };
}

/** Whether some key and event would meet both. */
function overlap(one: NotificationRule, other: NotificationRule): boolean {
  const prefixes = one.prefix.startsWith(other.prefix) || other.prefix.startsWith(one.prefix);
  const suffixes = one.suffix.endsWith(other.suffix) || other.suffix.endsWith(one.suffix);
  const events = allNames.some((name) => [one, other].every((rule) => rule.events.some((event) => covers(event, name))));
  return prefixes && suffixes && events;
}

function covers(event: string, name: string): boolean {
  return event === name || (event.endsWith(':*') && name.startsWith(event.slice(0, -1)));
}

function arnOf(kind: Kind, region: string, webhook: string): string {
  return `arn:aws:${kinds[kind].service}:${region}::${webhook}`;
}

function noDestination(arn: string): S3Failure {
  const why = 'There is no such webhook for this account: the operator of Skerry names those that there are';
  return new S3Failure('InvalidArgument', 'Unable to validate the following destination configurations', {
    details: { ArgumentName1: arn, ArgumentValue1: why },
  });
}

function invalid(message: string): S3Failure {
  return new S3Failure('InvalidArgument', message);
}
