/** The metadata contexts skerry:changed:SNAP as they are negotiated. */
import { describe, expect, test } from 'vitest';

import { Handshake, type Export, type Since, type Step } from '../../../../src/northbound/nbd/handshake.js';
import { changed_contexts_max, option, reply } from '../../../../src/northbound/nbd/protocol.js';

const vm1: Export = { resource: 7, name: 'vm1', description: '', sizeBytes: 1 << 20, readOnly: false };
const known: readonly Since[] = [
  { snapshot: 'a', resource: 11 },
  { snapshot: 'b.2', resource: 12 },
];

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Feeds one option and answers its look-up from `snapshots`; what was asked of it, and the step after. */
function give(handshake: Handshake, code: number, data: Buffer, snapshots = known): { asked: unknown; step: Step } {
  let step = handshake.receive(Buffer.concat([Buffer.from('IHAVEOPT'), uint32(code), uint32(data.length)]));
  if (data.length > 0) step = handshake.receive(data);
  if (step.next !== 'look-up') return { asked: null, step };
  const asked = step.snapshots ?? null;
  const since = asked === 'all' ? snapshots : snapshots.filter(({ snapshot }) => asked?.includes(snapshot) === true);
  return { asked, step: handshake.found({ outcome: 'found', exported: vm1, since }) };
}

function begun(): Handshake {
  const handshake = new Handshake();
  handshake.start();
  handshake.receive(uint32(3));
  give(handshake, option.structuredReply, Buffer.alloc(0));
  return handshake;
}

const request = (queries: readonly string[]): Buffer =>
  Buffer.concat([text('vm1'), uint32(queries.length), ...queries.map((query) => text(query))]);
const go = Buffer.concat([text('vm1'), Buffer.alloc(2)]);

/** `id name` of each context in the replies of a step. */
function contexts(step: Step): string[] {
  const found: string[] = [];
  let rest = 'send' in step ? Buffer.from(step.send) : Buffer.alloc(0);
  while (rest.length > 0) {
    const length = rest.readUInt32BE(16);
    const data = rest.subarray(20, 20 + length);
    if (rest.readUInt32BE(12) === reply.metaContext) found.push(`${data.readUInt32BE(0)} ${data.subarray(4).toString()}`);
    else expect(rest.readUInt32BE(12)).toBe(reply.ack);
    rest = rest.subarray(20 + length);
  }
  return found;
}

describe('skerry:changed:SNAP', () => {
  test.each([[['skerry:']], [['skerry:changed:']], [[]]])('is listed for every snapshot by the queries %j', (queries) => {
    const { asked, step } = give(begun(), option.listMetaContext, request(queries));
    expect(asked).toBe('all');
    const base = queries.length === 0 ? ['0 base:allocation'] : [];
    expect(contexts(step)).toEqual([...base, '0 skerry:changed:a', '0 skerry:changed:b.2']);
  });

  test('is listed by its own name, and only where there is such a snapshot', () => {
    const { asked, step } = give(begun(), option.listMetaContext, request(['skerry:changed:b.2', 'skerry:changed:none']));
    expect(asked).toEqual(['b.2', 'none']);
    expect(contexts(step)).toEqual(['0 skerry:changed:b.2']);
  });

  test('is set under an id of its own, beside base:allocation, and handed to the engine', () => {
    const handshake = begun();
    const set = give(handshake, option.setMetaContext, request(['skerry:changed:b.2', 'base:allocation', 'skerry:changed:a']));
    expect(contexts(set.step)).toEqual(['1 base:allocation', '2 skerry:changed:a', '3 skerry:changed:b.2']);
    expect(give(handshake, option.go, go).step).toMatchObject({
      next: 'transmit',
      sizeBytes: 1 << 20,
      baseAllocationId: 1,
      changed: [
        { since: 11, id: 2 },
        { since: 12, id: 3 },
      ],
    });
  });

  test('is set alone, without base:allocation', () => {
    const handshake = begun();
    give(handshake, option.setMetaContext, request(['skerry:changed:a']));
    expect(give(handshake, option.go, go).step).toMatchObject({ baseAllocationId: null, changed: [{ since: 11, id: 2 }] });
  });

  test('is not set by a wildcard, and every SET replaces the one before', () => {
    const handshake = begun();
    give(handshake, option.setMetaContext, request(['skerry:changed:a']));
    expect(contexts(give(handshake, option.setMetaContext, request(['skerry:', 'skerry:changed:'])).step)).toEqual([]);
    expect(give(handshake, option.go, go).step).toMatchObject({ baseAllocationId: null, changed: [] });
  });

  test('is set for no more snapshots than the limit', () => {
    const many = Array.from({ length: changed_contexts_max + 5 }, (_, at) => ({ snapshot: `s${at}`, resource: 100 + at }));
    const handshake = begun();
    const set = give(handshake, option.setMetaContext, request(many.map(({ snapshot }) => `skerry:changed:${snapshot}`)), many);
    expect(contexts(set.step)).toHaveLength(changed_contexts_max);
  });
});
