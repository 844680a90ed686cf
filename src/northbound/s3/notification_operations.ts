/** Events of a bucket that webhooks hear of: set and told. */
import { emptyAnswer, xmlAnswer } from './answer.js';
import { readDocument, writeDocument } from './bucket_documents.js';
import { causeOf, type Operation } from './exchange.js';
import { notificationDocument, notificationXml, parseNotification } from './notification_document.js';
import type { Route } from './operations.js';
import { bucketFor } from './subjects.js';

const getNotification: Operation = {
  name: 'GetBucketNotificationConfiguration',
  async run(exchange) {
    const { store, region } = exchange.services;
    const { name } = await bucketFor(exchange, 's3:GetBucketNotification');
    const rules = (await readDocument(store.buckets, name, notificationDocument)) ?? [];
    return xmlAnswer('NotificationConfiguration', notificationXml(rules, region));
  },
};

/** Each webhook that is named hears of it, as each destination does at AWS. Whether it answers is not waited for. */
const putNotification: Operation = {
  name: 'PutBucketNotificationConfiguration',
  async run(exchange) {
    const { store, region, notices, accounts, webhooks } = exchange.services;
    const bucket = await bucketFor(exchange, 's3:PutBucketNotification');
    const owner = (await accounts.get(bucket.account)).name;
    const allowed = webhooks.filter((webhook) => webhook.accounts?.includes(owner) ?? true).map(({ name }) => name);
    const rules = parseNotification(await exchange.body.xml('NotificationConfiguration'), region, allowed);
    await writeDocument(store.buckets, bucket.name, notificationDocument, rules.length === 0 ? null : rules);
    if (exchange.request.headers.get('x-amz-skip-destination-validation')?.toLowerCase() === 'true') return emptyAnswer();
    for (const receiver of new Set(rules.map(({ webhook }) => webhook)))
      await notices.test(bucket, { receiver, rule: '' }, causeOf(exchange));
    return emptyAnswer();
  },
};

export const notificationOperations: readonly Route[] = [
  { target: 'bucket', method: 'GET', query: ['notification'], operation: getNotification },
  { target: 'bucket', method: 'PUT', query: ['notification'], operation: putNotification },
];
