/** Real webhooks, over HTTP on loopback: slow, failing, away, come again. */
import { createHmac } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';

import { encodeNotice, noticeKey, type NoticeRecord } from '../../../src/catalog/notice_record.js';
import type { BucketRecord } from '../../../src/catalog/object_records.js';
import { Notices, notice_milliseconds_max } from '../../../src/object/notices.js';
import { Deliveries, type DeliveriesOptions, type DeliveryCounts } from '../../../src/upkeep/deliveries.js';
import { DroppedNotices } from '../../../src/upkeep/dropped_notices.js';
import { MemoryCatalog } from '../../harness/memory_catalog.js';
import { WebhookReceiver, type Behaviour } from '../../harness/webhook_receiver.js';

const bucket = { name: 'bucket', account: 1 } as BucketRecord;
const change = { kind: 'put', bucket, versionId: '', bytes: 1, etag: 'e' } as const;
const cause = { requester: '', address: '', requestId: '' };

class World {
  readonly catalog = new MemoryCatalog();
  readonly counts = { sent: 0, failed: 0, dropped: 0 };
  readonly told: string[] = [];
  readonly whys: string[] = [];
  now = 1_700_000_000_000;
  notices!: Notices;
  deliveries!: Deliveries;
  #id = 0;
  #waiters: { readonly until: (counts: DeliveryCounts) => boolean; readonly resolve: () => void }[] = [];

  async start(urls: Readonly<Record<string, string>>, more: Partial<DeliveriesOptions> = {}, secret: Uint8Array | null = null) {
    const receivers = Object.keys(urls);
    this.notices = new Notices({
      catalog: this.catalog,
      ids: { next: async () => (this.#id += 1) },
      now: () => this.now,
      receivers,
      subscriptions: async () => receivers.map((receiver) => ({ receiver, rule: 'r' })),
      onDropped: () => undefined,
    });
    await this.notices.open();
    this.deliveries = new Deliveries({
      webhooks: receivers.map((name) => ({ name, url: urls[name] ?? '', secret })),
      notices: this.notices,
      messageOf: async (_id, { key }) => key,
      log: (level, message, { why = '' } = {}) => {
        this.told.push(`${level} ${message}`);
        this.whys.push(String(why));
        this.#look();
      },
      onCounts: (_webhook, counts) => {
        this.counts.sent += counts.sent;
        this.counts.failed += counts.failed;
        this.counts.dropped += counts.dropped;
        this.#look();
      },
      now: () => this.now,
      pauseMillisecondsMin: 5,
      ...more,
    });
    this.deliveries.start();
  }

  async add(key: string): Promise<void> {
    const { writes, made } = await this.notices.of({ ...change, key, cause });
    await this.catalog.transact([], writes);
    made();
  }

  async until(is: (counts: DeliveryCounts) => boolean): Promise<void> {
    if (is(this.counts)) return;
    await new Promise<void>((resolve) => this.#waiters.push({ until: is, resolve }));
  }

  #look(): void {
    for (const { until, resolve } of this.#waiters) if (until(this.counts)) resolve();
  }

  left(): readonly string[] {
    return this.catalog.keys('notice/');
  }
}

const closing: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

async function receiver(behave?: Behaviour): Promise<WebhookReceiver> {
  const one = await new WebhookReceiver(behave).start();
  closing.push(() => one.stop());
  return one;
}

async function world(url: string, more: Partial<DeliveriesOptions> = {}, secret: Uint8Array | null = null): Promise<World> {
  const one = new World();
  await one.start({ hook: url }, more, secret);
  closing.unshift(() => one.deliveries.stop());
  return one;
}

test('each notice is posted once where it is taken, and nothing waits any more', async () => {
  const hook = await receiver();
  const one = await world(hook.url);
  const keys = Array.from({ length: 200 }, (_, at) => `key-${at}`);
  for (const key of keys) await one.add(key);
  await one.until(({ sent }) => sent === 200);
  expect(hook.bodies.toSorted()).toEqual(keys.toSorted());
  expect(one.left()).toEqual([]);
  expect(one.notices.waiting().get('hook')).toEqual({ notices: 0, bytes: 0 });
  expect(new Set(hook.got.map(({ headers }) => headers['webhook-id'])).size).toBe(200);
  // They are used again.
  expect(hook.connections).toBeLessThan(100);
  expect(one.told).toEqual([]);
});

test('what a webhook refuses is posted again under the same id, and holds up no others', async () => {
  const hook = await receiver(({ body }, before) =>
    body === 'bad' && before.filter((got) => got.body === 'bad').length < 3 ? 500 : 204,
  );
  const one = await world(hook.url);
  await one.add('bad');
  for (let at = 0; at < 40; at += 1) await one.add(`key-${at}`);
  await one.until(({ sent }) => sent === 41);
  const bad = hook.got.filter(({ body }) => body === 'bad');
  expect(bad.length).toBe(4);
  expect(new Set(bad.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
  expect(hook.got.length).toBe(44);
  expect(one.counts).toEqual({ sent: 41, failed: 3, dropped: 0 });
  await one.until(() => one.told.length === 2);
  expect(one.told).toEqual([
    'warn a webhook does not take what it is told: it is tried again',
    'info a webhook takes all that it is told again',
  ]);
});

test('while a webhook is away its notices wait, over lives of the daemon, and come when it is there again', async () => {
  const hook = await receiver();
  await hook.stop();
  const one = await world(hook.url);
  for (const key of ['a', 'b', 'c']) await one.add(key);
  await one.until(({ failed }) => failed >= 6);
  expect(one.left().length).toBe(3);
  expect(one.whys[0]).toContain('ECONNREFUSED');
  await one.deliveries.stop();
  await one.start({ hook: hook.url });
  expect(one.notices.waiting().get('hook')?.notices).toBe(3);
  const { failed: before } = one.counts;
  await one.until(({ failed }) => failed > before);
  await hook.start();
  await one.until(({ sent }) => sent === 3);
  expect(hook.bodies.toSorted()).toEqual(['a', 'b', 'c']);
  await one.until(() => one.told.includes('info a webhook takes all that it is told again'));
});

test('one that never answers is given up after a while, and asked again', async () => {
  const hook = await receiver((_got, before) => (before.length === 0 ? null : 200));
  const one = await world(hook.url, { postMillisecondsMax: 50 });
  await one.add('slow');
  await one.until(({ sent }) => sent === 1);
  expect(hook.bodies).toEqual(['slow', 'slow']);
  expect(one.whys[0]).toBe('no answer came within 50 ms');
});

test('one that is slow does not hold up another', async () => {
  const slow = await receiver(() => null);
  const quick = await receiver();
  const one = new World();
  await one.start({ slow: slow.url, quick: quick.url });
  closing.unshift(() => one.deliveries.stop());
  for (const key of ['a', 'b']) await one.add(key);
  await quick.posts(2);
  await slow.posts(1);
  expect(one.left().filter((key) => key.startsWith('notice/slow/')).length).toBe(2);
});

test('stopping waits for no answer, and what was on its way is posted by the next life', async () => {
  const hook = await receiver(() => null);
  const one = await world(hook.url);
  await one.add('a');
  await hook.posts(1);
  await one.deliveries.stop();
  expect(one.left().length).toBe(1);
  hook.behave = () => 200;
  await one.start({ hook: hook.url });
  await one.until(({ sent }) => sent === 1);
  expect(hook.bodies).toEqual(['a', 'a']);
});

test('a redirect is not followed: it is a refusal', async () => {
  const other = await receiver();
  const hook = await receiver(() => 307);
  hook.location = other.url;
  const one = await world(hook.url);
  await one.add('a');
  await one.until(({ failed }) => failed === 2);
  expect(other.got).toEqual([]);
});

test('messages are signed where there is a secret, as Standard Webhooks has it', async () => {
  const secret = Buffer.from('a secret of 24 bytes ...');
  const hook = await receiver();
  const one = await world(hook.url, {}, secret);
  await one.add('a');
  await one.until(({ sent }) => sent === 1);
  const { headers, body } = hook.got[0]!;
  expect(headers).toMatchObject({ 'content-type': 'application/json', 'webhook-timestamp': '1700000000' });
  const expected = createHmac('sha256', secret).update(`${headers['webhook-id']}.1700000000.${body}`).digest('base64');
  expect(headers['webhook-signature']).toBe(`v1,${expected}`);
});

test('without a secret nothing pretends to be a signature', async () => {
  const hook = await receiver();
  const one = await world(hook.url);
  await one.add('a');
  await one.until(({ sent }) => sent === 1);
  expect(hook.got[0]?.headers).not.toHaveProperty('webhook-signature');
});

test('a notice that was not taken for a day is dropped, but tried once more before', async () => {
  const hook = await receiver(() => 503);
  const one = new World();
  const record: NoticeRecord = {
    kind: 'put',
    rule: '',
    bucket: 'b',
    account: 1,
    key: 'old',
    versionId: '',
    bytes: 0,
    etag: '',
    at: 1,
    ...cause,
  };
  one.now = 1 + notice_milliseconds_max;
  await one.catalog.transact([], [{ key: noticeKey('hook', 1000), value: encodeNotice(record) }]);
  await one.start({ hook: hook.url });
  closing.unshift(() => one.deliveries.stop());
  await one.until(({ failed }) => failed >= 2);
  expect(one.left().length).toBe(1);
  one.now += 1;
  await one.until(({ dropped }) => dropped === 1);
  expect(one.left()).toEqual([]);
  expect(one.told.filter((line) => line.includes('dropped'))).toHaveLength(1);
});

test('of crowds that are dropped the log has one line a minute, with their number', () => {
  const lines: unknown[] = [];
  let now = 0;
  const dropped = new DroppedNotices({ log: (_level, _message, fields) => lines.push(fields), now: () => now });
  dropped.add('hook', 1, 'full');
  for (let at = 0; at < 10; at += 1) dropped.add('hook', 1, 'full');
  expect(lines).toEqual([{ webhook: 'hook', notices: 1, why: 'full' }]);
  now = 60_000;
  dropped.add('hook', 2, 'full');
  expect(lines[1]).toEqual({ webhook: 'hook', notices: 12, why: 'full' });
});
