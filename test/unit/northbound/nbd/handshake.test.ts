import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { Handshake, type Export, type Step } from '../../../../src/northbound/nbd/handshake.js';
import {
  base_allocation_id,
  info,
  option,
  option_bytes_max,
  options_per_connection_max,
  reply,
} from '../../../../src/northbound/nbd/protocol.js';

const vm1: Export = { resource: 7, name: 'vm1', description: 'a disk', sizeBytes: 10 * 2 ** 40, readOnly: false };
const snap: Export = { resource: 9, name: 'vm1@a', description: 'volume snapshot', sizeBytes: 4096, readOnly: true };
const exports = [vm1, snap];

describe('greeting', () => {
  test('is NBDMAGIC, IHAVEOPT, and the flags FIXED_NEWSTYLE and NO_ZEROES', () => {
    const step = new Handshake().start();
    expect(hex(sent(step))).toBe(unspaced('4e42444d41474943 49484156454f5054 0003'));
    expect(step).toMatchObject({ next: 'read', readBytes: 4 });
  });

  test.each([0, 1, 2, 3])('client flags %i are known', (flags) => {
    expect(new Handshake().receive(uint32(flags))).toMatchObject({ next: 'read', readBytes: 16 });
  });

  test.each([4, 0x80000000, 0xffffffff, 0x10003])('client flags %i hold an unknown one: close', (flags) => {
    expect(new Handshake().receive(uint32(flags))).toMatchObject({ next: 'close', send: new Uint8Array(0) });
  });
});

describe('EXPORT_NAME', () => {
  test('answers size and flags, and no zeroes where NO_ZEROES was negotiated', () => {
    const { end, output } = talk([uint32(3), optionOf(option.exportName, text('vm1'))]);
    expect(end).toMatchObject({ next: 'transmit', resource: 7, structuredReplies: false, baseAllocationId: null });
    expect(hex(output)).toBe(unspaced('00000a0000000000 0d6d'));
  });

  test('answers 124 zeroes to a client without NO_ZEROES', () => {
    const { output } = talk([uint32(1), optionOf(option.exportName, text('vm1'))]);
    expect(output.length).toBe(8 + 2 + 124);
    expect(output.subarray(10).every((byte) => byte === 0)).toBe(true);
  });

  test.each([['nowhere'], ['']])('closes for the unknown export %j, without a byte', (name) => {
    const { end, output } = talk([uint32(3), optionOf(option.exportName, text(name))]);
    expect(end.next).toBe('close');
    expect(output.length).toBe(0);
  });

  test('closes for a name that is no UTF-8, holds a NUL or is over 4096 bytes', () => {
    for (const name of [Uint8Array.of(0xff, 0xfe), text('vm\0'), new Uint8Array(4097).fill(97)]) {
      expect(talk([uint32(3), optionOf(option.exportName, name)]).end.next).toBe('close');
    }
  });

  test('longer than any option may be: closes without a byte, for it has no error reply', () => {
    const { end, output } = talk([uint32(3), header(option.exportName, option_bytes_max + 1)]);
    expect([end.next, output.length]).toEqual(['close', 0]);
  });
});

describe.each([
  ['GO', option.go],
  ['INFO', option.info],
])('%s', (_name, code) => {
  test('tells size and flags, then what was asked for, then ACK', () => {
    const all = [info.export, info.name, info.description, info.blockSize, 999];
    const { end, replies } = talk([uint32(3), optionOf(code, infoRequest('vm1', all))]);
    expect(replies.map(({ type }) => type)).toEqual([reply.info, reply.info, reply.info, reply.info, reply.ack]);
    expect(replies.every(({ of }) => of === code)).toBe(true);
    expect(replies.slice(0, 4).map(({ data }) => hex(data))).toEqual([
      unspaced('0000 00000a0000000000 0d6d'),
      '0001' + hex(text('vm1')),
      '0002' + hex(text('a disk')),
      unspaced('0003 00000001 00001000 02000000'),
    ]);
    expect(end).toMatchObject(code === option.go ? { next: 'transmit', resource: 7 } : { next: 'read', readBytes: 16 });
  });

  test('always tells size and flags, asked or not, and nothing else unasked', () => {
    const { replies } = talk([uint32(3), optionOf(code, infoRequest('vm1', []))]);
    expect(replies.map(({ type }) => type)).toEqual([reply.info, reply.ack]);
  });

  test('offers a snapshot read-only: no TRIM, WRITE_ZEROES or FAST_ZERO', () => {
    const { replies } = talk([uint32(3), optionOf(code, infoRequest('vm1@a', []))]);
    expect(hex(replies[0]?.data ?? new Uint8Array())).toBe(unspaced('0000 0000000000001000 050f'));
  });

  test('offers DF once structured replies are negotiated', () => {
    const { replies } = talk([uint32(3), optionOf(option.structuredReply), optionOf(code, infoRequest('vm1', []))]);
    expect(hex(replies[1]?.data ?? new Uint8Array())).toBe(unspaced('0000 00000a0000000000 0ded'));
  });

  test.each([['nowhere'], ['']])('answers UNKNOWN with words for %j, and goes on', (name) => {
    const { end, replies } = talk([uint32(3), optionOf(code, infoRequest(name, []))]);
    expect(replies.map(({ type }) => type)).toEqual([reply.unknown]);
    expect(replies[0]?.data.length).toBeGreaterThan(0);
    expect(end).toMatchObject({ next: 'read', readBytes: 16 });
  });

  test('answers INVALID for each malformed request, and goes on', () => {
    const sound = infoRequest('vm1', [0, 3]);
    const malformed = [
      new Uint8Array(0),
      sound.subarray(0, 3),
      sound.subarray(0, sound.length - 1),
      Buffer.concat([sound, Uint8Array.of(0)]),
      Buffer.concat([uint32(0xffffffff), sound.subarray(4)]),
      Buffer.concat([uint32(4), text('vm1')]),
      infoRequestOf(Uint8Array.of(0xc3, 0x28), []),
      infoRequestOf(new Uint8Array(4097).fill(97), []),
    ];
    for (const data of malformed) {
      const { end, replies } = talk([uint32(3), optionOf(code, data)]);
      expect(replies.map(({ type }) => type)).toEqual([reply.invalid]);
      expect(end).toMatchObject({ next: 'read', readBytes: 16 });
    }
  });

  test('answers SHUTDOWN while the server stops', () => {
    const { replies } = talk([uint32(3), optionOf(code, infoRequest('vm1', []))], { shutdown: true });
    expect(replies.map(({ type }) => type)).toEqual([reply.shutdown]);
  });
});

describe('LIST', () => {
  test('names every export with its description, then ACK', () => {
    const { replies } = talk([uint32(3), optionOf(option.list)]);
    expect(replies.map(({ type }) => type)).toEqual([reply.server, reply.server, reply.ack]);
    expect(hex(replies[0]?.data ?? new Uint8Array())).toBe('00000003' + hex(text('vm1')) + hex(text('a disk')));
  });

  test('with data is INVALID', () => {
    expect(talk([uint32(3), optionOf(option.list, text('x'))]).replies.map(({ type }) => type)).toEqual([reply.invalid]);
  });

  test('of more than can be listed is TOO_BIG, and goes on', () => {
    const many = Array.from({ length: 16_385 }, (_, index) => ({ ...vm1, name: `v${index}` }));
    const { end, replies } = talk([uint32(3), optionOf(option.list)], { exports: many });
    expect(replies.map(({ type }) => type)).toEqual([reply.tooBig]);
    expect(end.next).toBe('read');
  });

  test('that fails is POLICY with words; while stopping it is SHUTDOWN', () => {
    expect(talk([uint32(3), optionOf(option.list)], { broken: true }).replies[0]?.type).toBe(reply.policy);
    expect(talk([uint32(3), optionOf(option.list)], { shutdown: true }).replies[0]?.type).toBe(reply.shutdown);
  });
});

describe('ABORT', () => {
  test('is acknowledged, then the connection ends; its data is ignored', () => {
    for (const data of [new Uint8Array(0), text('goodbye')]) {
      const { end, replies } = talk([uint32(3), optionOf(option.abort, data)]);
      expect(replies.map(({ type }) => type)).toEqual([reply.ack]);
      expect(end.next).toBe('close');
    }
  });
});

describe('options that are not served', () => {
  test('STARTTLS is POLICY; with data it is INVALID', () => {
    expect(talk([uint32(3), optionOf(option.startTls)]).replies[0]?.type).toBe(reply.policy);
    expect(talk([uint32(3), optionOf(option.startTls, text('x'))]).replies[0]?.type).toBe(reply.invalid);
  });

  test.each([0, 4, 11, 12, 0xffffffff])('option %i is UNSUP, its data skipped, and the next option is served', (code) => {
    const { replies, end } = talk([uint32(3), optionOf(code, text('whatever')), optionOf(option.go, infoRequest('vm1', []))]);
    expect(replies.map(({ of, type }) => [of, type])).toEqual([
      [code, reply.unsupported],
      [option.go, reply.info],
      [option.go, reply.ack],
    ]);
    expect(end.next).toBe('transmit');
  });
});

describe('what breaks the stream', () => {
  test('an option with a bad magic closes', () => {
    const bad = Buffer.from(optionOf(option.list));
    bad[0] = 0;
    expect(talk([uint32(3), bad]).end.next).toBe('close');
  });

  test.each([option.go, option.list, option.abort, 77])(
    'option %i beyond the limit is TOO_BIG, then the connection ends',
    (code) => {
      for (const length of [option_bytes_max + 1, 0xffffffff]) {
        const { end, replies } = talk([uint32(3), header(code, length)]);
        expect(replies.map(({ of, type }) => [of, type])).toEqual([[code, reply.tooBig]]);
        expect(end.next).toBe('close');
      }
    },
  );

  test('an option of exactly the limit is read', () => {
    const { replies } = talk([uint32(3), optionOf(77, new Uint8Array(option_bytes_max))]);
    expect(replies.map(({ type }) => type)).toEqual([reply.unsupported]);
  });

  test('more options than any client has use for close', () => {
    const { end } = talk([uint32(3), ...Array.from({ length: options_per_connection_max + 1 }, () => optionOf(77))]);
    expect(end.next).toBe('close');
  });

  test('a message of a length that was not asked for closes, in every state', () => {
    for (const wrong of [new Uint8Array(0), new Uint8Array(5)]) {
      expect(new Handshake().receive(wrong).next).toBe('close');
      const atOption = new Handshake();
      atOption.receive(uint32(3));
      expect(atOption.receive(wrong).next).toBe('close');
      const atData = new Handshake();
      atData.receive(uint32(3));
      atData.receive(header(option.go, 20));
      expect(atData.receive(wrong).next).toBe('close');
    }
  });

  test('after the end, and while a look-up is under way, any message closes', () => {
    const handshake = new Handshake();
    handshake.receive(uint32(3));
    expect(handshake.receive(header(option.go, 9)).next).toBe('read');
    expect(handshake.receive(infoRequest('vm1', [])).next).toBe('look-up');
    expect(handshake.receive(uint32(3)).next).toBe('close');
    expect(handshake.receive(uint32(3)).next).toBe('close');
    expect(handshake.found({ outcome: 'found', exported: vm1 }).next).toBe('close');
    expect(handshake.listed({ outcome: 'listed', exports }).next).toBe('close');
  });
});

describe('metadata contexts', () => {
  const structured = optionOf(option.structuredReply);
  const set = (name: string, queries: readonly string[]) => optionOf(option.setMetaContext, metaRequest(name, queries));
  const list = (name: string, queries: readonly string[]) => optionOf(option.listMetaContext, metaRequest(name, queries));
  const go = (name: string) => optionOf(option.go, infoRequest(name, []));

  test('base:allocation set for the export of GO is negotiated', () => {
    const { end, replies } = talk([uint32(3), structured, set('vm1', ['base:allocation']), go('vm1')]);
    expect(replies[1]).toMatchObject({ of: option.setMetaContext, type: reply.metaContext });
    expect(hex(replies[1]?.data ?? new Uint8Array())).toBe('00000001' + hex(text('base:allocation')));
    expect(end).toMatchObject({ next: 'transmit', structuredReplies: true, baseAllocationId: base_allocation_id });
  });

  test('also for EXPORT_NAME', () => {
    const { end } = talk([uint32(3), structured, set('vm1', ['base:allocation']), optionOf(option.exportName, text('vm1'))]);
    expect(end).toMatchObject({ next: 'transmit', baseAllocationId: base_allocation_id });
  });

  test.each([
    ['for another export', [set('vm1@a', ['base:allocation'])]],
    ['and then replaced by none', [set('vm1', ['base:allocation']), set('vm1', [])]],
    ['and then replaced for another export', [set('vm1', ['base:allocation']), set('vm1@a', ['base:allocation'])]],
    ['and then replaced by one that fails', [set('vm1', ['base:allocation']), set('nowhere', ['base:allocation'])]],
    ['and then replaced by a malformed one', [set('vm1', ['base:allocation']), optionOf(option.setMetaContext, text('?'))]],
    ['only as a wildcard', [set('vm1', ['base:'])]],
    ['under another namespace', [set('vm1', ['qemu:dirty-bitmap:x'])]],
    ['only listed', [list('vm1', ['base:allocation'])]],
  ])('set %s, it is not negotiated', (_how, options) => {
    expect(talk([uint32(3), structured, ...options, go('vm1')]).end).toMatchObject({ next: 'transmit', baseAllocationId: null });
  });

  test('a name that meanwhile means another resource has no context', () => {
    let resource = 1;
    const lookUp = () => ({ ...vm1, resource: resource++ });
    expect(talk([uint32(3), structured, set('vm1', ['base:allocation']), go('vm1')], { lookUp }).end).toMatchObject({
      baseAllocationId: null,
    });
  });

  test.each([[[]], [['base:']], [['base:allocation']], [['x:y', 'base:', 'base:allocation']]])(
    'LIST with queries %j tells of base:allocation, under id 0',
    (queries) => {
      const { replies } = talk([uint32(3), structured, list('vm1', queries)]);
      expect(replies.slice(1).map(({ type }) => type)).toEqual([reply.metaContext, reply.ack]);
      expect(hex(replies[1]?.data ?? new Uint8Array())).toBe('00000000' + hex(text('base:allocation')));
    },
  );

  test.each([[['x:y']], [['base:unheard-of']]])('LIST with queries %j finds nothing, which is no error', (queries) => {
    const { replies } = talk([uint32(3), structured, list('vm1', queries)]);
    expect(replies.slice(1).map(({ type }) => type)).toEqual([reply.ack]);
  });

  test('without structured replies, both are INVALID', () => {
    const { replies } = talk([uint32(3), set('vm1', ['base:allocation']), list('vm1', [])]);
    expect(replies.map(({ type }) => type)).toEqual([reply.invalid, reply.invalid]);
  });

  test('for an unknown export, both are UNKNOWN', () => {
    const { replies } = talk([uint32(3), structured, set('nowhere', ['base:allocation']), list('nowhere', [])]);
    expect(replies.slice(1).map(({ type }) => type)).toEqual([reply.unknown, reply.unknown]);
  });

  test('malformed ones are INVALID, and the next option is served', () => {
    const sound = metaRequest('vm1', ['base:allocation']);
    const malformed = [
      new Uint8Array(0),
      sound.subarray(0, sound.length - 1),
      Buffer.concat([sound, Uint8Array.of(0)]),
      Buffer.concat([uint32(3), text('vm1'), uint32(0xffffffff)]),
      Buffer.concat([uint32(3), text('vm1'), uint32(1), uint32(0xffffffff)]),
      metaRequest('vm1', ['no-namespace']),
    ];
    for (const data of malformed) {
      const { replies, end } = talk([uint32(3), structured, optionOf(option.setMetaContext, data), go('vm1')]);
      expect(replies.map(({ type }) => type)).toEqual([reply.ack, reply.invalid, reply.info, reply.ack]);
      expect(end).toMatchObject({ next: 'transmit', baseAllocationId: null });
    }
  });

  test('STRUCTURED_REPLY with data is INVALID and negotiates nothing', () => {
    const { replies, end } = talk([uint32(3), optionOf(option.structuredReply, text('x')), go('vm1')]);
    expect(replies[0]?.type).toBe(reply.invalid);
    expect(end).toMatchObject({ structuredReplies: false });
  });
});

describe('whatever comes', () => {
  test('bytes cut in any way lead to the same answers', () => {
    const messages = [
      uint32(3),
      optionOf(option.structuredReply),
      optionOf(option.list),
      optionOf(99, text('unknown')),
      optionOf(option.setMetaContext, metaRequest('vm1', ['base:allocation'])),
      optionOf(option.info, infoRequest('vm1', [3])),
      optionOf(option.go, infoRequest('vm1', [1, 2, 3])),
    ];
    const whole = talk(messages);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 30 }), (cuts) => {
        const cut = talk([Buffer.concat(messages)], { cuts });
        expect(hex(cut.output)).toBe(hex(whole.output));
        expect(cut.end).toEqual(whole.end);
      }),
      { numRuns: 100 },
    );
    expect(talk([Buffer.concat(messages)], { cuts: [1] }).end).toEqual(whole.end);
  });

  test('random options and data never throw, and every answer is well formed', () => {
    const anOption = fc.tuple(
      fc.oneof(fc.integer({ min: 0, max: 12 }), fc.constant(0xfffffffe)),
      fc.uint8Array({ maxLength: 80 }),
    );
    fc.assert(
      fc.property(fc.array(anOption, { maxLength: 20 }), (options) => {
        const { replies, end } = talk([uint32(3), ...options.map(([code, data]) => optionOf(code, data))]);
        expect(['read', 'close', 'transmit']).toContain(end.next);
        for (const { of, type } of replies) {
          expect(options.some(([code]) => code === of)).toBe(true);
          expect(type === 0).toBe(false);
        }
      }),
      { numRuns: 300 },
    );
  });
});

interface Reply {
  readonly of: number;
  readonly type: number;
  readonly data: Uint8Array;
}

interface Circumstances {
  readonly exports?: readonly Export[];
  readonly lookUp?: (name: string) => Export | undefined;
  readonly shutdown?: boolean;
  readonly broken?: boolean;
  /** Lengths of the pieces in which the bytes arrive, over and over; without it one message is one piece. */
  readonly cuts?: readonly number[];
}

/** Plays the engine: collects bytes to the length asked for, and answers look-ups. `output` leaves the greeting out. */
function talk(
  messages: readonly Uint8Array[],
  circumstances: Circumstances = {},
): { end: Step; output: Uint8Array; replies: Reply[] } {
  const known = circumstances.exports ?? exports;
  const lookUp = circumstances.lookUp ?? ((name: string) => known.find((exported) => exported.name === name));
  const handshake = new Handshake();
  const output: Uint8Array[] = [];
  const settle = (step: Step): Step => {
    if (step.next === 'look-up') {
      if (circumstances.shutdown === true) return settle(handshake.found({ outcome: 'shutdown' }));
      const exported = lookUp(step.name);
      return settle(
        handshake.found(
          exported === undefined ? { outcome: 'unknown', message: 'there is none' } : { outcome: 'found', exported },
        ),
      );
    }
    if (step.next === 'list') {
      if (circumstances.shutdown === true) return settle(handshake.listed({ outcome: 'shutdown' }));
      return settle(
        handshake.listed(
          circumstances.broken === true ? { outcome: 'failed', message: 'broken' } : { outcome: 'listed', exports: known },
        ),
      );
    }
    return step;
  };
  let step = handshake.start();
  let waiting = Buffer.alloc(0);
  for (const piece of circumstances.cuts === undefined ? messages : cutUp(messages, circumstances.cuts)) {
    waiting = Buffer.concat([waiting, piece]);
    while (step.next === 'read' && waiting.length >= step.readBytes) {
      const message = waiting.subarray(0, step.readBytes);
      waiting = waiting.subarray(step.readBytes);
      step = settle(handshake.receive(message));
      output.push(sent(step));
    }
  }
  const all = Buffer.concat(output);
  return { end: step, output: all, replies: parseReplies(all) };
}

function cutUp(messages: readonly Uint8Array[], cuts: readonly number[]): Uint8Array[] {
  const all = Buffer.concat(messages);
  const pieces: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < all.length; turn += 1) {
    const length = cuts[turn % cuts.length] ?? 1;
    pieces.push(all.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

function parseReplies(output: Buffer): Reply[] {
  const replies: Reply[] = [];
  for (let at = 0; at + 20 <= output.length && output.readBigUInt64BE(at) === 0x0003e889045565a9n; ) {
    const length = output.readUInt32BE(at + 16);
    replies.push({
      of: output.readUInt32BE(at + 8),
      type: output.readUInt32BE(at + 12),
      data: output.subarray(at + 20, at + 20 + length),
    });
    at += 20 + length;
  }
  return replies;
}

function sent(step: Step): Uint8Array {
  return 'send' in step ? step.send : new Uint8Array(0);
}

function header(code: number, length: number): Uint8Array {
  return Buffer.concat([text('IHAVEOPT'), uint32(code), uint32(length)]);
}

function optionOf(code: number, data: Uint8Array = new Uint8Array(0)): Uint8Array {
  return Buffer.concat([header(code, data.length), data]);
}

function infoRequest(name: string, information: readonly number[]): Uint8Array {
  return infoRequestOf(text(name), information);
}

function infoRequestOf(name: Uint8Array, information: readonly number[]): Uint8Array {
  return Buffer.concat([uint32(name.length), name, ...[information.length, ...information].map(uint16)]);
}

function metaRequest(name: string, queries: readonly string[]): Uint8Array {
  const strings = queries.flatMap((query) => [uint32(query.length), text(query)]);
  return Buffer.concat([uint32(name.length), text(name), uint32(queries.length), ...strings]);
}

function uint16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255);
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(value: string): Uint8Array {
  return Buffer.from(value, 'utf8');
}

/** Hexadecimal digits with the fields of a message set apart. */
function unspaced(digits: string): string {
  return digits.replaceAll(' ', '');
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
